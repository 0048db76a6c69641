"""OTLP in protobuf: bytes to spans, by generated messages that are parsed in C."""

from collections.abc import Iterator
from typing import Any

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from traces.ingest.clean import MAX_TEXT
from traces.ingest.otlp_repair import repaired_copy
from traces.ingest.otlp_span import (
    MAX_DEPTH,
    MAX_KEY,
    MAX_PER_SPAN,
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
)


def read_spans(body: bytes) -> Iterator[WireSpan | BadSpanError]:
    """Yield each span of an ExportTraceServiceRequest, or why it cannot be kept. Raises UnreadableError."""
    request, was_repaired = _parse(ExportTraceServiceRequest, body)
    for group in request.resource_spans:
        resource = _resource(group)
        for part in group.scope_spans:
            scope = Scope(part.scope.name.replace("\x00", ""), part.scope.version.replace("\x00", ""), resource)
            for span in part.spans:
                try:
                    yield _span(span, scope, was_repaired)
                except BadSpanError as error:
                    yield error


def _parse(kind: Any, body: bytes) -> tuple[Any, bool]:
    try:
        return kind.FromString(body), False
    except DecodeError as error:
        again = repaired_copy(kind, body)
        if again is None:
            raise UnreadableError(f"The body is no {kind.DESCRIPTOR.name}: {error}.") from None
        return again, True


def _resource(group: Any) -> Attributes:
    return attributes_of(group.resource.attributes, Cleaner())


def _span(span: Any, scope: Scope, was_repaired: bool) -> WireSpan:
    cleaner = Cleaner()
    attributes = attributes_of(span.attributes, cleaner, span.dropped_attributes_count)
    events = span.events
    links = span.links
    cleaner.note_dropped("events", span.dropped_events_count + max(len(events) - MAX_PER_SPAN, 0))
    cleaner.note_dropped("links", span.dropped_links_count + max(len(links) - MAX_PER_SPAN, 0))
    return WireSpan(
        trace=trace_id(span.trace_id),
        span_id=span_id(span.span_id),
        parent_span_id=parent_id(span.parent_span_id, cleaner),
        name=cleaner.text(span.name),
        kind=span.kind,
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        status=span.status.code,
        message=cleaner.text(span.status.message),
        events=[_event(event, cleaner) for event in events[:MAX_PER_SPAN]] if events else [],
        links=[_link(link, cleaner) for link in links[:MAX_PER_SPAN]] if links else [],
        attributes=attributes | cleaner.dropped if cleaner.dropped else attributes,
        scope=scope,
        repaired=cleaner.repaired or was_repaired,
    )


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
        kind = value.WhichOneof("value")
        if kind == "string_value":
            said = value.string_value
            if "\x00" in said or len(said) > MAX_TEXT:
                said = cleaner.text(said)
        else:
            said = cleaner.value(nested(value))
        if not key or key in found:
            cleaner.repaired = True
        if not key:
            continue
        found[key if len(key) < MAX_KEY and "\x00" not in key else cleaner.text(key, MAX_KEY)] = said
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
