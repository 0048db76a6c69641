"""The shapes of OTLP's JSON: names in lowerCamelCase, everything optional, what is not known ignored."""

import msgspec
from msgspec import UNSET, Raw, UnsetType

Number = int | str | float | None  # 64-bit numbers come as text, because JavaScript cannot hold them


class Camel(msgspec.Struct, rename="camel"):
    """Names as the JSON of protobuf spells them; what is not known is ignored."""


class AnyValueIn(Camel):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: int | str | None = None
    double_value: float | str | None = None
    array_value: "ArrayIn | None" = None
    kvlist_value: "MapIn | None" = None
    bytes_value: str | None = None


class PairIn(Camel):
    key: str = ""
    value: AnyValueIn | None = None


class ArrayIn(Camel):
    values: list[AnyValueIn | None] | None = None


class MapIn(Camel):
    values: list[PairIn] | None = None


class StatusIn(Camel):
    code: int | str | None = None
    message: str | None = None


class EventIn(Camel):
    name: str | None = None
    time_unix_nano: Number = None
    attributes: list[PairIn] | None = None


class LinkIn(Camel):
    trace_id: str | None = None
    span_id: str | None = None
    attributes: list[PairIn] | None = None


class SpanIn(Camel):
    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    name: str | None = None
    kind: int | str | None = None
    start_time_unix_nano: Number = None
    end_time_unix_nano: Number = None
    attributes: list[PairIn] | None = None
    events: list[EventIn] | None = None
    links: list[LinkIn] | None = None
    status: StatusIn | None = None
    dropped_attributes_count: int | None = None
    dropped_events_count: int | None = None
    dropped_links_count: int | None = None


class LogRecordIn(Camel):
    trace_id: str | None = None
    span_id: str | None = None
    time_unix_nano: Number = None
    observed_time_unix_nano: Number = None
    severity_number: int | str | None = None
    severity_text: str | None = None
    event_name: str | None = None
    body: AnyValueIn | None = None
    attributes: list[PairIn] | None = None
    dropped_attributes_count: int | None = None


class PointsIn(Camel):
    data_points: list[Raw] | None = None


class MetricIn(Camel):
    gauge: PointsIn | None = None
    sum: PointsIn | None = None
    histogram: PointsIn | None = None
    exponential_histogram: PointsIn | None = None
    summary: PointsIn | None = None


class ScopeIn(Camel):
    name: str | None = None
    version: str | None = None


class ScopePartIn(Camel):
    scope: ScopeIn | None = None
    spans: list[Raw] | None = None
    log_records: list[Raw] | None = None
    metrics: list[MetricIn] | None = None


class ResourceIn(Camel):
    attributes: list[PairIn] | None = None


class GroupIn(Camel):
    """What one process sent; of the parts only those of the request's signal are there."""

    resource: ResourceIn | None = None
    scope_spans: list[ScopePartIn] | None = None
    scope_logs: list[ScopePartIn] | None = None
    scope_metrics: list[ScopePartIn] | None = None


class RequestIn(Camel):
    """A request of any signal; which one it is shows in what is there."""

    resource_spans: list[GroupIn] | None = None
    resource_logs: list[GroupIn] | None = None
    resource_metrics: list[GroupIn] | None = None


class AnyRequestIn(Camel):
    """A request of which only the signal is of interest."""

    resource_spans: Raw | UnsetType = UNSET
    resource_logs: Raw | UnsetType = UNSET
    resource_metrics: Raw | UnsetType = UNSET
