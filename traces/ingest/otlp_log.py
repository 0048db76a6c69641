"""A log record in the shape of a span: an event at one moment, within the span that it names."""

from hashlib import blake2b
from typing import Any

import msgspec

from traces.ingest.otlp_span import (
    ERROR_STATUS,
    NO_TRACE,
    Attributes,
    BadSpanError,
    Cleaner,
    Scope,
    WireSpan,
    parent_id,
    trace_id,
)

ERROR_SEVERITY = 17  # ERROR, and above it FATAL
UNNAMED = "log"


class SentRecord(msgspec.Struct, kw_only=True):
    """What an encoding says of a record: its ids as bytes, which may be none."""

    attributes: Attributes
    body: Any
    trace_id: bytes
    span_id: bytes
    event: str
    at_ns: int
    severity: int
    severity_text: str


def wire_record(sent: SentRecord, scope: Scope, cleaner: Cleaner) -> WireSpan:
    """Return the record as the dialects read it; its id is a hash of what it says, so that one sent again is known."""
    attributes = sent.attributes | cleaner.dropped if cleaner.dropped else sent.attributes
    if sent.severity:
        attributes = attributes | {"otel.severity": sent.severity}
    if sent.event:
        attributes = attributes | {"event.name": cleaner.text(sent.event)}
    event = attributes.get("event.name")
    name = event if isinstance(event, str) and event else cleaner.text(sent.severity_text or UNNAMED)
    said = [sent.trace_id.hex(), sent.span_id.hex(), sent.at_ns, name, sent.body, attributes]
    digest = blake2b(msgspec.json.encode(said, order="deterministic"), digest_size=8).hexdigest()
    trace = _trace(sent.trace_id, cleaner)
    return WireSpan(
        trace=trace,
        span_id=f"log-{digest}",
        parent_span_id=None if trace == NO_TRACE else parent_id(sent.span_id, cleaner),
        name=name,
        start_ns=sent.at_ns,
        end_ns=sent.at_ns,
        status=ERROR_STATUS if sent.severity >= ERROR_SEVERITY else 0,
        message="",
        events=[],
        attributes=attributes,
        scope=scope,
        repaired=cleaner.repaired,
        is_record=True,
        body=sent.body,
    )


def _trace(raw: bytes, cleaner: Cleaner) -> Any:
    """Return the trace that a record names; one that is none is as if it were absent, as the specification has it."""
    try:
        return trace_id(raw) if raw else NO_TRACE
    except BadSpanError:
        cleaner.repaired = cleaner.repaired or any(raw)
        return NO_TRACE
