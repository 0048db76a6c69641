"""OTLP in JSON: as the specification has it, and as clients get it wrong (base64 ids, snake_case, numbers as text)."""

import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET

from traces.ingest.clean import repair_json
from traces.ingest.native import decode_repaired
from traces.ingest.otlp_json_model import (
    AnyRequestIn,
    EventIn,
    GroupIn,
    LinkIn,
    LogRecordIn,
    RequestIn,
    ScopeIn,
    ScopePartIn,
    SpanIn,
    StatusIn,
)
from traces.ingest.otlp_json_value import binary, enumerated, nanoseconds, nested, pairs
from traces.ingest.otlp_log import SentRecord, wire_record
from traces.ingest.otlp_span import (
    LOGS,
    MAX_PER_SPAN,
    METRICS,
    SPAN_ID_BYTES,
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

SNAKES = [b'"resource_spans"', b'"scope_spans"', b'"trace_id"', b'"resource_logs"', b'"log_records"',
          b'"resource_metrics"', b'"scope_metrics"']  # fmt: skip
_SNAKE = re.compile(
    rb'"((?:resource|scope)_(?:spans|logs|metrics)|(?:trace|span|parent_span)_id'
    rb"|(?:start_|end_|observed_)?time_unix_nano|log_records|severity_(?:number|text)|event_name|data_points"
    rb"|exponential_histogram|dropped_(?:attributes|events|links)_count|(?:string|bool|int|double|array|kvlist|bytes)_value"
    rb')"(?=\s*:)'
)

T = TypeVar("T")
_requests = msgspec.json.Decoder(RequestIn)
_anything = msgspec.json.Decoder(AnyRequestIn)
_spans = msgspec.json.Decoder(SpanIn)
_records = msgspec.json.Decoder(LogRecordIn)

KINDS = {"SPAN_KIND_INTERNAL": 1, "SPAN_KIND_SERVER": 2, "SPAN_KIND_CLIENT": 3, "SPAN_KIND_PRODUCER": 4,
         "SPAN_KIND_CONSUMER": 5}  # fmt: skip
STATUSES = {"STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}
SEVERITIES = {f"SEVERITY_NUMBER_{level}{'' if step == 1 else step}": 4 * place + step
              for place, level in enumerate(("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"))
              for step in (1, 2, 3, 4)}  # fmt: skip

Make = Callable[[Any, Scope], WireSpan]


def read_spans(body: bytes) -> Iterator[WireSpan | BadSpanError]:
    """Yield each span of the request, or why it cannot be kept. Raises UnreadableError."""
    for group in _groups(body, TRACES):
        resource = _resource(group)
        for part in group.scope_spans or []:
            yield from _read(part.spans, _spans, _span, part, resource)


def read_records(body: bytes) -> Iterator[WireSpan | BadSpanError]:
    """Yield each log record of the request, or why it cannot be kept. Raises UnreadableError."""
    for group in _groups(body, LOGS):
        resource = _resource(group)
        for part in group.scope_logs or []:
            yield from _read(part.log_records, _records, _record, part, resource)


def count_points(body: bytes) -> int:
    """Return how many data points the request holds. Raises UnreadableError."""
    metrics = (
        metric
        for group in _groups(body, METRICS)
        for part in group.scope_metrics or []
        for metric in part.metrics or []
    )
    data = ((one.gauge, one.sum, one.histogram, one.exponential_histogram, one.summary) for one in metrics)
    return sum(len(points.data_points or []) for kinds in data for points in kinds if points)


def signals_of(body: bytes) -> list[str]:
    """Return of which signals a body holds a request; none where it is nothing that is known."""
    try:
        sent = _decode(body, _anything)
    except UnreadableError:
        return []
    held = {TRACES: sent.resource_spans, LOGS: sent.resource_logs, METRICS: sent.resource_metrics}
    return [signal for signal, groups in held.items() if groups is not UNSET]


def _groups(body: bytes, signal: str) -> list[GroupIn]:
    request = _decode(body, _requests)
    sent = {TRACES: request.resource_spans, LOGS: request.resource_logs, METRICS: request.resource_metrics}
    if sent[signal] is None:
        for other in (one for one, groups in sent.items() if groups):
            raise UnreadableError(wrong_door(other))
    return sent[signal] or []


def _read(
    sent: list[msgspec.Raw] | None,
    decoder: msgspec.json.Decoder[Any],
    make: Make,
    part: ScopePartIn,
    resource: Attributes | BadSpanError,
) -> Iterator[WireSpan | BadSpanError]:
    if isinstance(resource, BadSpanError):
        yield from [resource] * len(sent or [])
        return
    scope = _scope(part, resource)
    for raw in sent or []:
        try:
            yield make(decode_repaired(bytes(raw), decoder)[0], scope)
        except BadSpanError as error:
            yield error
        except (msgspec.MsgspecError, RecursionError, ValueError) as error:
            yield BadSpanError("", str(error) or "is nested too deeply")


def _decode(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Return the request; in a body that is broken JSON, what was broken is a NUL now, which the cleaner replaces."""
    if not body.strip():
        raise UnreadableError("The body is empty; send an OTLP request in JSON, {} at least.")
    try:
        return decoder.decode(_camel(body))
    except RecursionError:
        raise UnreadableError("The body is nested too deeply to be read.") from None
    except msgspec.ValidationError as error:
        raise UnreadableError(f"The body is no OTLP request: {error}.") from None
    except (msgspec.DecodeError, UnicodeError) as error:
        said = error
    try:
        return decoder.decode(_camel(repair_json(body)))
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        raise UnreadableError(f"The body cannot be read as JSON: {said}.") from None


def _camel(body: bytes) -> bytes:
    """Return the body with snake_case names spelled as the specification has them. Texts within it stay."""
    if not any(name in body for name in SNAKES):
        return body
    return _SNAKE.sub(lambda m: b'"' + _camel_name(m[1]) + b'"', body)


def _camel_name(name: bytes) -> bytes:
    first, *rest = name.split(b"_")
    return first + b"".join(word.capitalize() for word in rest)


def _resource(group: GroupIn) -> Attributes | BadSpanError:
    """Return what is said of all items of a group, or why none of them can be kept."""
    try:
        return Cleaner().attributes(pairs(group.resource.attributes)) if group.resource else {}
    except BadSpanError as error:
        return BadSpanError(f"/resource{error.pointer}", error.detail)


def _scope(part: ScopePartIn, resource: Attributes) -> Scope:
    scope = part.scope or ScopeIn()
    return Scope((scope.name or "").replace("\x00", ""), (scope.version or "").replace("\x00", ""), resource)


def _span(span: SpanIn, scope: Scope) -> WireSpan:
    cleaner = Cleaner()
    attributes = cleaner.attributes(pairs(span.attributes), span.dropped_attributes_count or 0)
    events, links = span.events or [], span.links or []
    cleaner.note_dropped("events", (span.dropped_events_count or 0) + max(len(events) - MAX_PER_SPAN, 0))
    cleaner.note_dropped("links", (span.dropped_links_count or 0) + max(len(links) - MAX_PER_SPAN, 0))
    status = span.status or StatusIn()
    return WireSpan(
        trace=trace_id(binary(span.trace_id, TRACE_ID_BYTES)),
        span_id=span_id(binary(span.span_id, SPAN_ID_BYTES)),
        parent_span_id=parent_id(binary(span.parent_span_id, SPAN_ID_BYTES), cleaner),
        name=cleaner.text(span.name or ""),
        kind=enumerated(span.kind, KINDS),
        start_ns=nanoseconds(span.start_time_unix_nano, "/startTimeUnixNano"),
        end_ns=nanoseconds(span.end_time_unix_nano, "/endTimeUnixNano"),
        status=enumerated(status.code, STATUSES),
        message=cleaner.text(status.message or ""),
        events=[_event(event, cleaner) for event in events[:MAX_PER_SPAN]],
        links=[_link(link, cleaner) for link in links[:MAX_PER_SPAN]],
        attributes=attributes | cleaner.dropped if cleaner.dropped else attributes,
        scope=scope,
        repaired=cleaner.repaired,
    )


def _record(record: LogRecordIn, scope: Scope) -> WireSpan:
    cleaner = Cleaner()
    at_ns = nanoseconds(record.time_unix_nano, "/timeUnixNano")
    sent = SentRecord(
        attributes=cleaner.attributes(pairs(record.attributes), record.dropped_attributes_count or 0),
        body=cleaner.value(nested(record.body)),
        trace_id=binary(record.trace_id, TRACE_ID_BYTES),
        span_id=binary(record.span_id, SPAN_ID_BYTES),
        event=record.event_name or "",
        at_ns=at_ns or nanoseconds(record.observed_time_unix_nano, "/observedTimeUnixNano"),
        severity=enumerated(record.severity_number, SEVERITIES),
        severity_text=record.severity_text or "",
    )
    return wire_record(sent, scope, cleaner)


def _event(event: EventIn, cleaner: Cleaner) -> Event:
    at_ns = nanoseconds(event.time_unix_nano, "/events/timeUnixNano")
    return Event(cleaner.text(event.name or ""), at_ns, cleaner.attributes(pairs(event.attributes)))


def _link(link: LinkIn, cleaner: Cleaner) -> Attributes:
    return {
        "trace_id": binary(link.trace_id, TRACE_ID_BYTES).hex(),
        "span_id": binary(link.span_id, SPAN_ID_BYTES).hex(),
        "attributes": cleaner.attributes(pairs(link.attributes)),
    }
