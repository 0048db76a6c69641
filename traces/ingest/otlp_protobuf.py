"""OTLP in protobuf: bytes to spans and log records, by generated messages that are parsed in C."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from traces.ingest.clean import MAX_TEXT
from traces.ingest.otlp_log import SentRecord, wire_record
from traces.ingest.otlp_repair import repaired_copy
from traces.ingest.otlp_span import (
    LOGS,
    MAX_DEPTH,
    MAX_KEY,
    MAX_PER_SPAN,
    METRICS,
    TRACE_ID_BYTES,
    TRACES,
    Attributes,
    BadSpanError,
    Cleaner,
    Event,
    Scope,
    UnreadableError,
    WireSpan,
    parent_id,
    span_id,
    trace_id,
    wrong_door,
)

T = TypeVar("T")


class Kind(NamedTuple):
    """The message that a signal is sent in, and what its three levels are called."""

    message: Any
    groups: str
    parts: str
    items: str

    def all_items(self, request: Any) -> Iterator[Any]:
        for group in getattr(request, self.groups):
            for part in getattr(group, self.parts):
                yield from getattr(part, self.items)


KINDS = {
    TRACES: Kind(ExportTraceServiceRequest, "resource_spans", "scope_spans", "spans"),
    LOGS: Kind(ExportLogsServiceRequest, "resource_logs", "scope_logs", "log_records"),
    METRICS: Kind(ExportMetricsServiceRequest, "resource_metrics", "scope_metrics", "metrics"),
}


def read_spans(body: bytes) -> Iterator[WireSpan | BadSpanError]:
    """Yield each span of an ExportTraceServiceRequest, or why it cannot be kept. Raises UnreadableError."""
    return _read(TRACES, body, _span)


def read_records(body: bytes) -> Iterator[WireSpan | BadSpanError]:
    """Yield each record of an ExportLogsServiceRequest, or why it cannot be kept. Raises UnreadableError."""
    return _read(LOGS, body, _record)


def count_points(body: bytes) -> int:
    """Return how many data points an ExportMetricsServiceRequest holds. Raises UnreadableError."""
    request, _ = _parse(METRICS, body)
    metrics = KINDS[METRICS].all_items(request)
    return sum(len(getattr(metric, data).data_points) for metric in metrics if (data := metric.WhichOneof("data")))


def signal_of(body: bytes) -> str | None:
    """Return what a body holds of which nothing is said; None where it is nothing that is known.

    The requests are nested alike, so that each can be read as another; its items then lack what all of its own have.
    """
    return next((signal for signal, is_one in SIGNS.items() if _holds(signal, body, is_one)), None)


SIGNS: dict[str, Callable[[Any], Any]] = {
    TRACES: lambda span: len(span.trace_id) == TRACE_ID_BYTES,
    LOGS: lambda record: record.time_unix_nano or record.observed_time_unix_nano,
    METRICS: lambda metric: metric.WhichOneof("data"),
}


def _holds(signal: str, body: bytes, is_one: Callable[[Any], Any]) -> bool:
    kind = KINDS[signal]
    try:
        request = kind.message.FromString(body)
    except DecodeError:
        request = repaired_copy(kind.message, body)
    return request is not None and any(map(is_one, kind.all_items(request)))


def _read(signal: str, body: bytes, make: Callable[[Any, Scope, bool], WireSpan]) -> Iterator[WireSpan | BadSpanError]:
    request, was_repaired = _parse(signal, body)
    kind = KINDS[signal]
    for group in getattr(request, kind.groups):
        resource = _resource(group)
        for part in getattr(group, kind.parts):
            scope = Scope(part.scope.name.replace("\x00", ""), part.scope.version.replace("\x00", ""), resource)
            for item in getattr(part, kind.items):
                try:
                    yield make(item, scope, was_repaired)
                except BadSpanError as error:
                    yield error


def _parse(signal: str, body: bytes) -> tuple[Any, bool]:
    """Return the request, and whether its texts had to be repaired. Raises UnreadableError, also for other signals."""
    kind = KINDS[signal]
    was_repaired, said = False, ""
    try:
        request = kind.message.FromString(body)
    except DecodeError as error:
        request, was_repaired, said = repaired_copy(kind.message, body), True, str(error)
    if request is None or not any(map(SIGNS[signal], kind.all_items(request))):
        other = signal_of(body)
        if other not in {None, signal}:
            raise UnreadableError(wrong_door(str(other)))
    if request is None:
        raise UnreadableError(f"The body is no {kind.message.DESCRIPTOR.name}: {said}.")
    return request, was_repaired


def _resource(group: Any) -> Attributes:
    return attributes_of(group.resource.attributes, Cleaner())


def _span(span: Any, scope: Scope, was_repaired: bool) -> WireSpan:
    cleaner = Cleaner()
    attributes = attributes_of(span.attributes, cleaner, span.dropped_attributes_count)
    status = span.status
    events = _first(span.events, "events", span.dropped_events_count, _event, cleaner)
    links = _first(span.links, "links", span.dropped_links_count, _link, cleaner)
    return WireSpan(  # by place, which costs a quarter of what names do: in the order of its fields
        trace_id(span.trace_id),
        span_id(span.span_id),
        parent_id(span.parent_span_id, cleaner),
        cleaner.text(span.name),
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        status.code,
        cleaner.text(status.message),
        attributes | cleaner.dropped if cleaner.dropped else attributes,
        events,
        scope,
        links,
        span.kind,
        cleaner.repaired or was_repaired,
    )


def _first(sent: Any, what: str, dropped: int, make: Callable[[Any, Cleaner], T], cleaner: Cleaner) -> list[T]:
    """Return the first MAX_PER_SPAN of a span's events or links; what is left out, here or before, is noted."""
    if not sent and not dropped:
        return []
    cleaner.note_dropped(what, dropped + max(len(sent) - MAX_PER_SPAN, 0))
    return [make(one, cleaner) for one in sent[:MAX_PER_SPAN]]


def _record(record: Any, scope: Scope, was_repaired: bool) -> WireSpan:
    cleaner = Cleaner()
    cleaner.repaired = was_repaired
    sent = SentRecord(
        attributes=attributes_of(record.attributes, cleaner, record.dropped_attributes_count),
        body=cleaner.value(nested(record.body)),
        trace_id=record.trace_id,
        span_id=record.span_id,
        event=record.event_name,
        at_ns=record.time_unix_nano or record.observed_time_unix_nano,
        severity=record.severity_number,
        severity_text=record.severity_text,
    )
    return wire_record(sent, scope, cleaner)


def _event(event: Any, cleaner: Cleaner) -> Event:
    return Event(cleaner.text(event.name), event.time_unix_nano, attributes_of(event.attributes, cleaner))


def _link(link: Any, cleaner: Cleaner) -> Attributes:
    about = attributes_of(link.attributes, cleaner)
    return {"trace_id": link.trace_id.hex(), "span_id": link.span_id.hex(), "attributes": about}


def attributes_of(sent: Any, cleaner: Cleaner, dropped: int = 0) -> Attributes:
    """Return what `Cleaner.attributes` does, in one loop: the walk over these is what decoding costs."""
    found: Attributes = {}
    for place, pair in enumerate(sent):
        if place >= MAX_PER_SPAN:
            dropped += len(sent) - place
            break
        key, value = pair.key, pair.value
        said: Any = value.string_value  # empty also where it is no string, as the number is 0 where it is none
        if not said:
            said = value.int_value or cleaner.value(nested(value))
        elif "\x00" in said or len(said) > MAX_TEXT:
            said = cleaner.text(said)
        if not key or key in found:
            cleaner.repaired = True
        if not key:
            continue
        found[key if len(key) < MAX_KEY and "\x00" not in key else cleaner.text(key, MAX_KEY)] = said
    if dropped:
        cleaner.note_dropped("attributes", dropped)
    return found


def nested(value: Message | Any, depth: int = MAX_DEPTH) -> Any:
    """Return any value as Python holds it; what is nested deeper than the limit is left out."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [nested(item, depth - 1) for item in value.array_value.values] if depth else None
    if kind == "kvlist_value":
        return {item.key: nested(item.value, depth - 1) for item in value.kvlist_value.values} if depth else None
    return None if kind is None else getattr(value, kind)
