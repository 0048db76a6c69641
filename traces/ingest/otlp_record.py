"""From a span and what a dialect read in it to the record that is stored."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from traces.ingest import preview
from traces.ingest.clean import MAX_ATTRIBUTES, MAX_NAME, MAX_TEXT, cut
from traces.ingest.cost import money
from traces.ingest.dialects.base import GATE, MODEL, TOOL, Dialect, Reading
from traces.ingest.otlp_span import LOGS, Attributes, WireSpan, fit
from traces.ingest.record import ASKED, SpanRecord, content_hash
from traces.ingest.step import AHEAD, EARLIEST, arguments_hash, sane_time

SAID, ECHO, NAMED = "said:", "echo:", "tool:"  # before what a span is found by, see found_by
KEYED = {MODEL, TOOL, GATE}  # the steps that something else may tell of as well
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST_NS = int(EARLIEST.timestamp()) * 1_000_000_000
SMALL = MAX_ATTRIBUTES // 8  # characters of attributes that fit, whatever their JSON makes of them
INTERRUPTS = ("GraphInterrupt", "NodeInterrupt")  # LangGraph waits for a person by raising one of these


class Times(msgspec.Struct, frozen=True):
    started_at: datetime
    ended_at: datetime | None
    original: str | None  # what was sent, where it was absurd


def record(span: WireSpan, reading: Reading, dialect: Dialect, *, now: datetime) -> SpanRecord:
    """Return the record of a span."""
    times = sane_times(span, now)
    event_type = reading.event_type
    error = reading.error or _error(span)
    arguments, output = json_text(reading.arguments), json_text(reading.result)
    attributes, is_cut = _attributes(span, reading, dialect)
    return SpanRecord(  # by place, which costs a quarter of what names do: in the order of its fields
        span.trace,
        span.span_id,
        times.started_at,
        span.parent_span_id,
        None,  # steps are numbered on reading
        event_type,
        name(span.name),
        name(reading.tool_name) if event_type in {TOOL, GATE} else None,
        name(reading.agent),
        name(reading.model),
        name(reading.provider),
        None,  # it waits for no approval of ours
        name(reading.decision),
        times.ended_at,
        True if error is not None else (False if times.ended_at and reading.knows_outcome else None),
        span.repaired or is_cut or times.original is not None or len(span.name) > MAX_NAME,
        False,  # its clock is real
        reading.input_tokens,
        reading.output_tokens,
        reading.cached_tokens,
        reading.cache_written_tokens,
        reading.input_tokens,  # which are those of the context
        None if reading.cost_usd is None else money(reading.cost_usd),
        None,  # what it would cost is estimated when it is stored
        None if arguments is None else arguments_hash(reading.arguments),
        None if output is None else content_hash(output.encode()),
        None if output is None else len(output),
        times.original,
        preview.of_arguments(reading.arguments),
        preview.of_result(reading.result, output) or preview.of_text(reading.text or error),
        body(arguments),
        body(output),
        None if reading.text is None else cut(reading.text),
        None if reading.thinking is None else cut(reading.thinking),
        None if error is None else cut(error),
        found_by(reading),
        attributes,
        reading.tools,
    )


def found_by(reading: Reading) -> str | None:
    """Return what a span is found by again: the provider's id of its call or response, else the tool's name."""
    key = reading.call_id or (f"{NAMED}{reading.tool_name}" if reading.event_type == TOOL else "")
    if reading.is_echo and not key.startswith(NAMED):
        return name(f"{ECHO}{key}")
    return name(key) if reading.event_type in KEYED else None


def sane_times(span: WireSpan, now: datetime) -> Times:
    """Return start and end. A span without a start began when it ended; without both, when it was received."""
    started, ended = span.start_ns or span.end_ns, span.end_ns
    if EARLIEST_NS <= started <= ended and (ended_at := _at(ended)) <= now + AHEAD:
        return Times(_at(started), ended_at, None)  # as nearly all are
    if not started:
        return Times(now, None, "0")
    started_at, original = sane_time(_at(started), now)
    if not ended:
        return Times(started_at, None, original)
    if original is not None:
        return Times(started_at, started_at, original)
    ended_at, end_original = sane_time(_at(ended), now)
    if end_original is None and ended < started:
        end_original = _at(ended).isoformat()
    return Times(started_at, max(ended_at, started_at), end_original)


def _at(ns: int) -> datetime:
    return EPOCH + timedelta(0, 0, ns // 1_000)


def is_interrupted(span: WireSpan) -> bool:
    """Say whether the span ended because the agent waits for a person, which is no failure."""
    return any(
        event.name == "exception" and str(event.attributes.get("exception.type", "")).endswith(INTERRUPTS)
        for event in span.events
    )


def _error(span: WireSpan) -> str | None:
    """Return how a span failed; None for one that did not."""
    if not span.failed or (span.events and is_interrupted(span)):
        return None
    for event in span.events:
        if event.name == "exception":
            kind, said = event.attributes.get("exception.type"), event.attributes.get("exception.message")
            return ": ".join(str(part) for part in (kind, said) if part) or span.message
    return span.message or str(span.attributes.get("error.type") or "")


def _attributes(span: WireSpan, reading: Reading, dialect: Dialect) -> tuple[Attributes | None, bool]:
    """Return what is kept as it was sent, with what the wire says beside the attributes."""
    found = dict(span.attributes)
    found["otel.scope.name"] = span.scope.name
    found["otel.scope.version"] = span.scope.version
    found["agentops.dialect"] = dialect.name
    if span.kind:
        found["otel.kind"] = span.kind
    if span.is_record:
        found["otel.signal"] = LOGS
    if span.body is not None and span.body != reading.text:
        found["otel.body"] = span.body
    if span.events:
        found["otel.events"] = [
            {"name": event.name, "time_unix_nano": str(event.at_ns), "attributes": event.attributes}
            for event in span.events
        ]
    if span.links:
        found["otel.links"] = span.links
    if span.parent_span_id is None and span.scope.resource:
        found["otel.resource"] = span.scope.resource
    # Characters are a good measure of a text, and cheap; only what is near the limit is measured by its JSON.
    is_small = sum([len(value) if type(value) is str else _size(value) for value in found.values()]) < SMALL
    fitting = found if is_small else fit(found)
    is_cut = not is_small and fitting != found
    if reading.asked and reading.event_type == MODEL:
        fitting[ASKED] = reading.asked
    return fitting, is_cut


def _size(value: Any) -> int:
    return len(msgspec.json.encode(value)) if isinstance(value, dict | list) else 0


def json_text(value: Any) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


def body(text: str | None) -> str | None:
    """Return the JSON text, or, where it is too long, a JSON string of its start."""
    if text is None or len(text) <= MAX_TEXT:
        return text
    return msgspec.json.encode(cut(text)).decode()


def name(value: str | None) -> str | None:
    if not value:
        return None
    return value if len(value) <= MAX_NAME else cut(value, MAX_NAME)
