"""A step of the native wire format, and the records it becomes."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from traces.ids import span_key, trace_key
from traces.ingest import preview
from traces.ingest.clean import MAX_ATTRIBUTES, MAX_NAME, MAX_TEXT, cut, is_cut, is_deeper, may_be_deeper, whole_size
from traces.ingest.cost import money
from traces.ingest.record import (
    Batch,
    SpanRecord,
    ToolsetRecord,
    TraceRecord,
    content_hash,
    toolset,
)

Identity = Annotated[str, Meta(min_length=1, max_length=200)]
Count = Annotated[int, Meta(ge=0, le=2_147_483_647)]
Milliseconds = Annotated[float, Meta(ge=0, le=3_155_760_000_000)]  # a century
Usd = Annotated[float, Meta(ge=0, le=1_000_000)]
ShortText = Annotated[str, Meta(max_length=MAX_NAME)]
LongText = Annotated[str, Meta(max_length=MAX_TEXT)]
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
AHEAD = timedelta(days=1)
MAX_DEPTH = 200  # of a value; far below what any of the encoders behind the doors gives up at


class ToolIn(msgspec.Struct, omit_defaults=True, gc=False):
    name: Identity
    schema: dict[str, Any] | None = None
    risk: str | None = None


class StepIn(msgspec.Struct, kw_only=True, gc=False):
    """A step as the contract gives it; absent and null say the same."""

    trace_id: Identity
    step_number: Count | None = None
    timestamp: datetime | None = None
    event_type: Literal["tool_call", "model_response", "error", "human_gate"] | None = None
    span_id: Identity | None = None
    parent_span_id: Identity | None = None
    session_id: Identity | None = None
    approval_id: Identity | None = None
    tool_name: str | None = None
    tool_input: Any = None
    tool_output: Any = None
    model_thinking: str | None = None
    text: str | None = None
    is_error: bool | None = None
    error: str | None = None
    agent: str | None = None
    user: str | None = None
    name: str | None = None
    model: str | None = None
    provider: str | None = None
    context_token_count: Count | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cached_tokens: Count | None = None
    cache_written_tokens: Count | None = None
    cost_usd: Usd | None = None
    duration_ms: Milliseconds | None = None
    tools: list[ToolIn] | None = None
    decision: str | None = None
    trace_name: str | None = None
    trace_status: Literal["running", "ok", "error"] | None = None
    environment: str | None = None
    release: str | None = None
    metadata: dict[str, Any] | None = None

    @property
    def is_status(self) -> bool:
        """True for an item that only opens or closes its trace."""
        return self.trace_status is not None and all(
            value is None for value in (self.event_type, self.step_number, self.timestamp)
        )


class FittingStep(StepIn, kw_only=True, gc=False):
    """A step of which nothing has to be cut: to have decoding look at that costs a tenth of doing so later."""

    name: ShortText | None = None
    tool_name: ShortText | None = None
    agent: ShortText | None = None
    model: ShortText | None = None
    provider: ShortText | None = None
    decision: ShortText | None = None
    user: ShortText | None = None
    trace_name: ShortText | None = None
    environment: ShortText | None = None
    release: ShortText | None = None
    text: LongText | None = None
    model_thinking: LongText | None = None
    error: LongText | None = None


LIMITS = {
    field: MAX_NAME if kind == ShortText | None else MAX_TEXT for field, kind in FittingStep.__annotations__.items()
}


def add_step(batch: Batch, step: StepIn, *, now: datetime, repaired: bool = False, synthetic: bool = False) -> None:
    """Add one valid step to the batch. Raises RecursionError for one whose values are nested too deeply."""
    fitting = step if isinstance(step, FittingStep) else _fitting(step)
    trace, external_id = trace_key(fitting.trace_id)
    about = batch.trace(trace, external_id)
    if fitting.is_status:
        _note_trace(about, fitting, span=None)
        about.status_items.append(fitting.trace_status or "")
        return
    is_cut = fitting is not step
    span = _span(trace, fitting, now=now, repaired=repaired or is_cut, synthetic=synthetic)
    _note_trace(about, fitting, span=span)
    batch.spans.append(span)


def _fitting(step: StepIn) -> StepIn:
    """Return a step whose names and texts are within their limits: itself, where none of them has to be cut."""
    kept = {name: cut(value, limit) for name, limit in LIMITS.items() if (value := getattr(step, name))}
    fitting = msgspec.structs.replace(step, **kept)
    return step if fitting == step else fitting


def _note_trace(about: TraceRecord, step: StepIn, *, span: SpanRecord | None) -> None:
    """Note what a step says about its trace; what is said first stays, but for its name and its status."""
    _note_surroundings(about, step)
    if step.agent and not about.agent and step.event_type != "human_gate":  # its agent is the person who speaks
        about.agent = step.agent
    if step.trace_name:
        about.name = step.trace_name
    if step.trace_status:
        about.status = step.trace_status
    if span is not None and not about.preview and span.event_type != "tool_call":
        about.preview = preview.of_text(span.text) or ""


def _note_surroundings(about: TraceRecord, step: StepIn) -> None:
    if step.session_id and not about.session_id:
        about.session_id = step.session_id
    if step.user and not about.user:
        about.user = step.user
    if step.environment and not about.environment:
        about.environment = step.environment
    if step.release and not about.release:
        about.release = step.release


def _span(trace: UUID, step: StepIn, *, now: datetime, repaired: bool, synthetic: bool) -> SpanRecord:
    number, timestamp = step.step_number, step.timestamp
    if number is None or timestamp is None:
        raise ValueError("a step has a number and a time; the door checks it")
    started_at, original = sane_time(timestamp, now)
    output, arguments = _body(step.tool_output), _body(step.tool_input)
    attributes = _attributes(step.metadata)
    is_shorter = arguments.is_cut or output.is_cut or (bool(attributes) and attributes is not step.metadata)
    return SpanRecord(  # by place, which costs a quarter of what names do: in the order of its fields
        trace,
        step.span_id or span_key(trace, number),
        started_at,
        step.parent_span_id,
        number,
        step.event_type,
        step.name or None,
        step.tool_name or None,
        step.agent or None,
        step.model or None,
        step.provider or None,
        step.approval_id,
        step.decision or None,
        None if step.duration_ms is None else started_at + timedelta(0, 0, step.duration_ms * 1_000),
        step.is_error,
        repaired or original is not None or is_shorter,
        synthetic,
        step.input_tokens,
        step.output_tokens,
        step.cached_tokens,
        step.cache_written_tokens,
        step.context_token_count,
        None if step.cost_usd is None else money(step.cost_usd),
        None,  # what it would cost is estimated when it is stored
        _arguments_hash(step.tool_input, arguments),
        None if output.text is None else content_hash(output.data),
        output.size,
        original,
        preview.of_arguments(step.tool_input),
        preview.of_result(step.tool_output, output.text) or preview.of_text(step.text or step.error),
        arguments.text,
        output.text,
        step.text,
        step.model_thinking,
        step.error,
        None,  # it is no call that another span tells of
        attributes,
        _toolset(step.tools),
    )


def sane_time(value: datetime, now: datetime) -> tuple[datetime, str | None]:
    """Return the time in UTC, and what was sent where it is absurd and the moment of receipt stands in for it.

    A time without an offset is taken as UTC. Absurd is: before 2000, or more than a day ahead.
    """
    value = value.replace(tzinfo=UTC) if value.tzinfo is None else value
    if EARLIEST <= value <= now + AHEAD:
        return value if value.tzinfo is UTC else value.astimezone(UTC), None
    return now, value.isoformat()


def arguments_hash(value: Any) -> int:
    """Return the hash of the canonical JSON: equal arguments in any order of keys have the same."""
    return content_hash(msgspec.json.encode(value, order="deterministic"))


class _Body(msgspec.Struct, frozen=True, gc=False):
    """A JSON value as it is stored: its text, or, where that is too long, a JSON string of its start."""

    text: str | None = None
    data: bytes = b""  # the text in UTF-8
    size: int | None = None  # characters of the whole
    is_cut: bool = False


_NO_BODY = _Body()


def _body(value: Any) -> _Body:
    if value is None:
        return _NO_BODY
    data = _json(value)
    text = data.decode()
    if len(text) <= MAX_TEXT:
        return _Body(text, data, len(text))
    if isinstance(value, str) and is_cut(value):  # by an earlier import
        return _Body(text, data, whole_size(value))
    data = msgspec.json.encode(cut(text))
    return _Body(data.decode(), data, len(text), is_cut=True)


def _json(value: Any) -> bytes:
    """Return the JSON of a value. Raises RecursionError for one that is nested too deeply."""
    data = msgspec.json.encode(value)
    if may_be_deeper(data, MAX_DEPTH) and is_deeper(value, MAX_DEPTH):
        raise RecursionError
    return data


def _arguments_hash(value: Any, body: _Body) -> int | None:
    """Return the hash of the arguments, or, where they are too long, of what is stored of them."""
    if body.text is None or body.size is None:
        return None
    return arguments_hash(value) if body.size <= MAX_TEXT else content_hash(body.data)


def _attributes(metadata: dict[str, Any] | None) -> dict[str, Any] | None:
    if not metadata:
        return None
    text = _json(metadata).decode()
    before = metadata.get("agentops.cut")
    if len(text) <= MAX_ATTRIBUTES or (isinstance(before, str) and is_cut(before, MAX_ATTRIBUTES)):
        return metadata
    return {"agentops.cut": cut(text, MAX_ATTRIBUTES)}


def _toolset(tools: list[ToolIn] | None) -> ToolsetRecord | None:
    if not tools:
        return None
    plain = msgspec.to_builtins(tools)
    if is_deeper(plain, MAX_DEPTH):
        raise RecursionError
    return toolset(plain)
