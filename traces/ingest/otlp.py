"""The OTLP wire format: spans of many instrumentations, in protobuf or JSON, become the records of one batch."""

from collections.abc import Iterator
from datetime import datetime

import structlog

from traces.ingest import otlp_json, otlp_protobuf, preview
from traces.ingest.clean import MAX_NAME, cut
from traces.ingest.dialects.base import Reading, dialect_of
from traces.ingest.otlp_record import record
from traces.ingest.otlp_span import BadSpanError, UnreadableError, WireSpan
from traces.ingest.record import Batch, Problem, Rejection, SpanRecord, TraceRecord

log = structlog.get_logger(__name__)

MAX_SPANS = 20_000  # of one request, as many as steps at the native door
UNNAMED = "unknown_service"  # what SDKs call a service that has no name


class TooManySpansError(UnreadableError):
    """Raised for a request of more spans than one transaction should hold."""

    status = 413


def read_traces(body: bytes, *, is_json: bool, now: datetime) -> Batch:
    """Return what a request's body holds; a span that is wrong is rejected alone. Raises UnreadableError."""
    batch = Batch()
    for span in _spans(body, is_json=is_json):
        if batch.received >= MAX_SPANS:
            raise TooManySpansError(f"The request holds more than {MAX_SPANS:,} spans; send it in smaller batches.")
        batch.received += 1
        if isinstance(span, BadSpanError):
            batch.rejected.append(Rejection(batch.received - 1, [Problem(span.pointer, span.detail)]))
        else:
            add_span(batch, span, now=now)
    return batch


def _spans(body: bytes, *, is_json: bool) -> Iterator[WireSpan | BadSpanError]:
    return otlp_json.read_spans(body) if is_json else otlp_protobuf.read_spans(body)


def add_span(batch: Batch, span: WireSpan, *, now: datetime) -> None:
    dialect = dialect_of(span.scope, span.attributes)
    try:
        reading = dialect.read(span)
    except Exception:
        # A dialect that a span takes by surprise costs that span its meaning, not the request its answer.
        log.exception("dialect_failed", dialect=dialect.name, scope=span.scope.name)
        reading = Reading()
    made = record(span, reading, dialect, now=now)
    _note_trace(batch.trace(span.trace, None), span, reading, made)
    batch.spans.append(made)


def _note_trace(about: TraceRecord, span: WireSpan, reading: Reading, made: SpanRecord) -> None:
    """Note what a span says about its trace; what is said first stays."""
    about.session_id = about.session_id or cut(reading.session or "", MAX_NAME)
    about.agent = about.agent or made.agent or ""
    about.user = about.user or cut(reading.user or "", MAX_NAME)
    about.environment = about.environment or cut(reading.environment or "", MAX_NAME)
    about.release = about.release or cut(reading.release or "", MAX_NAME)
    if not about.service:
        service = span.scope.resource.get("service.name")
        about.service = cut(service, MAX_NAME) if isinstance(service, str) and not service.startswith(UNNAMED) else ""
    if not about.preview:
        about.preview = preview.of_text(reading.preview) or preview.of_text(reading.text) or ""
    if span.parent_span_id is None:
        about.name = about.name or made.name or ""
        about.root_ended_at = made.ended_at or about.root_ended_at
