"""The OTLP wire format: spans and log records of many instrumentations become the records of one batch."""

from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice
from typing import NamedTuple

import structlog

from agentops.redaction.hint import may_hold_secrets
from traces.ids import trace_key
from traces.ingest import otlp_json, otlp_protobuf, preview
from traces.ingest.bulk import TOO_MANY, is_json_too_dense, is_protobuf_too_dense
from traces.ingest.calls import settle, told_calls
from traces.ingest.clean import MAX_NAME, cut
from traces.ingest.dialects.base import GATE, MODEL, TOOL, Dialect, Reading, dialect_of, parsed
from traces.ingest.dialects.semconv import remark
from traces.ingest.otlp_record import is_interrupted, record
from traces.ingest.otlp_span import LOGS, METRICS, NO_TRACE, TRACES, BadSpanError, TooLargeError, WireSpan
from traces.ingest.record import Batch, Problem, Rejection, SpanRecord, TraceRecord

log = structlog.get_logger(__name__)

MAX_SPANS = 20_000  # of one request, or log records; as many as steps at the native door
# All of these are read before a record is made of the first: to do one thing many times in a row costs a sixth less,
# since a processor remembers only so much code.
TOGETHER = 64


class SpanReading(NamedTuple):
    """A span, and what its dialect reads in it."""

    span: WireSpan
    dialect: Dialect
    reading: Reading


ReadOne = Callable[[Batch, WireSpan], SpanReading | None]


def read(signal: str, body: bytes, *, is_json: bool, now: datetime) -> Batch:
    """Return what a request's body holds; a span that is wrong is rejected alone. Raises UnreadableError."""
    batch = Batch(is_innocent=not may_hold_secrets(body))
    add_request(batch, signal, body, is_json=is_json, now=now)
    finish(batch)
    return batch


def add_request(batch: Batch, signal: str, body: bytes, *, is_json: bool, now: datetime) -> None:
    """Add what a request holds to a batch, which then has to be finished. Raises UnreadableError."""
    if is_json_too_dense(body) if is_json else is_protobuf_too_dense(body):
        raise TooLargeError(TOO_MANY)
    batch.is_otlp = True
    form = otlp_json if is_json else otlp_protobuf
    if signal == METRICS:  # what they say is in the spans
        points = form.count_points(body)
        batch.received += points
        batch.ignored += points
    elif signal == LOGS:
        _add_all(batch, form.read_records(body), read_record, now)
    elif signal == TRACES:
        _add_all(batch, form.read_spans(body), read_span, now)


def _add_all(
    batch: Batch,
    found: Iterator[WireSpan | BadSpanError],
    read_one: ReadOne,
    now: datetime,
) -> None:
    at_most = batch.received + MAX_SPANS
    while some := list(islice(found, TOGETHER)):
        fitting = some[: at_most - batch.received]
        for one in _read_some(batch, fitting, read_one):
            _add(batch, one, now)
        if len(some) > len(fitting):
            raise TooLargeError(f"The request holds more than {MAX_SPANS:,} spans; send it in smaller batches.")


def _read_some(batch: Batch, some: list[WireSpan | BadSpanError], read_one: ReadOne) -> list[SpanReading]:
    """Return what some spans say; those that cannot be kept are rejected, those that say nothing are left out."""
    readings = []
    for span in some:
        batch.received += 1
        try:
            if isinstance(span, BadSpanError):
                raise span
            reading = read_one(batch, span)
        except BadSpanError as error:
            batch.rejected.append(Rejection(batch.received - 1, [Problem(error.pointer, error.detail)]))
            continue
        if reading is not None:
            readings.append(reading)
    return readings


def finish(batch: Batch) -> None:
    """Let each call and each answer of a batch stand once, and forget traces whose only span has moved to another."""
    batch.spans = settle(batch.spans, batch.told)
    kept = {span.trace for span in batch.spans}
    batch.traces = {trace: about for trace, about in batch.traces.items() if trace in kept}


def read_span(_: Batch, span: WireSpan) -> SpanReading:
    dialect = dialect_of(span.scope, span.attributes)
    reading = _read(dialect, dialect.read, span)
    if span.events and is_interrupted(span):
        _note_wait(reading, span)
    return SpanReading(span, dialect, reading)


def read_record(batch: Batch, span: WireSpan) -> SpanReading | None:
    """Read a log record: as a step, or as a remark on the span it was made in. Without a trace it is ignored.

    Raises BadSpanError for a step that names no trace, and nothing else that could stand for one.
    """
    dialect = dialect_of(span.scope, span.attributes)
    reading = _read(dialect, lambda span: dialect.read_record(span) or remark(span), span)
    external_id = None
    if span.trace == NO_TRACE and reading.run:
        span.trace, external_id = trace_key(cut(reading.run, MAX_NAME))
    if span.trace == NO_TRACE:
        if reading.event_type:
            raise BadSpanError("/traceId", "is absent, and the record names no conversation or session")
        batch.ignored += 1
        return None
    if reading.took_ms:
        span.start_ns = max(span.start_ns - int(reading.took_ms * 1_000_000), 0)
    batch.trace(span.trace, external_id)
    return SpanReading(span, dialect, reading)


def _read(dialect: Dialect, read: Callable[[WireSpan], Reading], span: WireSpan) -> Reading:
    """Return what a dialect reads. One that a span takes by surprise costs that span its meaning, and no more."""
    try:
        return read(span)
    except Exception:
        log.exception("dialect_failed", dialect=dialect.name, scope=span.scope.name)
        return Reading()


def _add(batch: Batch, one: SpanReading, now: datetime) -> None:
    span, dialect, reading = one
    made = record(span, reading, dialect, now=now)
    about = batch.trace(span.trace, None)
    _note_trace(about, span, reading, made)
    if span.parent_span_id is None and not span.is_record:
        about.name = about.name or made.name or ""
        about.root_ended_at = made.ended_at or about.root_ended_at
        about.is_lone = made.event_type in {MODEL, TOOL}
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
        about.preview = (
            preview.of_text(reading.preview) or preview.of_text(reading.text if made.event_type else None) or ""
        )
