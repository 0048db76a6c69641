"""The OTLP wire format: spans of many instrumentations, in protobuf or JSON, become the records of one batch."""

from collections.abc import Iterator
from datetime import datetime

import structlog

from traces.ingest import otlp_json, otlp_protobuf, preview
from traces.ingest.bulk import TOO_MANY, is_json_too_dense, is_protobuf_too_dense
from traces.ingest.calls import settle, told_calls
from traces.ingest.clean import MAX_NAME, cut
from traces.ingest.dialects.base import GATE, Reading, dialect_of, parsed
from traces.ingest.otlp_record import is_interrupted, record
from traces.ingest.otlp_span import BadSpanError, TooLargeError, WireSpan
from traces.ingest.record import Batch, Problem, Rejection, SpanRecord, TraceRecord

log = structlog.get_logger(__name__)

MAX_SPANS = 20_000  # of one request, as many as steps at the native door


def read_traces(body: bytes, *, is_json: bool, now: datetime) -> Batch:
    """Return what a request's body holds; a span that is wrong is rejected alone. Raises UnreadableError."""
    batch = Batch()
    for span in _spans(body, is_json=is_json):
        if batch.received >= MAX_SPANS:
            raise TooLargeError(f"The request holds more than {MAX_SPANS:,} spans; send it in smaller batches.")
        batch.received += 1
        if isinstance(span, BadSpanError):
            batch.rejected.append(Rejection(batch.received - 1, [Problem(span.pointer, span.detail)]))
        else:
            add_span(batch, span, now=now)
    batch.spans = settle(batch.spans, batch.told)
    _forget_empty(batch)
    return batch


def _forget_empty(batch: Batch) -> None:
    """Drop what was noted of traces whose only span has moved to another."""
    kept = {span.trace for span in batch.spans}
    batch.traces = {trace: about for trace, about in batch.traces.items() if trace in kept}


def _spans(body: bytes, *, is_json: bool) -> Iterator[WireSpan | BadSpanError]:
    if is_json_too_dense(body) if is_json else is_protobuf_too_dense(body):
        raise TooLargeError(TOO_MANY)
    return otlp_json.read_spans(body) if is_json else otlp_protobuf.read_spans(body)


def add_span(batch: Batch, span: WireSpan, *, now: datetime) -> None:
    dialect = dialect_of(span.scope, span.attributes)
    try:
        reading = dialect.read(span)
    except Exception:
        # A dialect that a span takes by surprise costs that span its meaning, not the request its answer.
        log.exception("dialect_failed", dialect=dialect.name, scope=span.scope.name)
        reading = Reading()
    if span.events and is_interrupted(span):
        _note_wait(reading, span)
    made = record(span, reading, dialect, now=now)
    _note_trace(batch.trace(span.trace, None), span, reading, made)
    batch.spans.append(made)
    if reading.calls or reading.results:
        batch.told.extend(told_calls(made, reading))


def _note_wait(reading: Reading, span: WireSpan) -> None:
    """Note that a node of a graph waits for a person; what is around it and within it only passes that on."""
    metadata = parsed(span.attributes.get("metadata"))
    node = metadata.get("langgraph_node") if isinstance(metadata, dict) else None
    if span.name in {node, span.attributes.get("langsmith.metadata.langgraph_node")}:
        reading.event_type, reading.decision = GATE, "pending"


def _note_trace(about: TraceRecord, span: WireSpan, reading: Reading, made: SpanRecord) -> None:
    """Note what a span says about its trace; what is said first stays."""
    about.session_id = about.session_id or cut(reading.session or "", MAX_NAME)
    about.agent = about.agent or made.agent or ""
    about.user = about.user or cut(reading.user or "", MAX_NAME)
    about.environment = about.environment or cut(reading.environment or "", MAX_NAME)
    about.release = about.release or cut(reading.release or "", MAX_NAME)
    about.service = about.service or cut(span.scope.service, MAX_NAME)
    if not about.preview:
        about.preview = preview.of_text(reading.preview) or preview.of_text(reading.text) or ""
    if span.parent_span_id is None:
        about.name = about.name or made.name or ""
        about.root_ended_at = made.ended_at or about.root_ended_at
