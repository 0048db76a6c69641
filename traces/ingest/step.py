"""A step of the native wire format, and the records it becomes."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

import msgspec
from msgspec import Meta

from traces.ids import span_key, trace_key
from traces.ingest import preview
from traces.ingest.clean import MAX_ATTRIBUTES, MAX_NAME, MAX_TEXT, cut, is_cut, is_long, whole_size
from traces.ingest.cost import money
from traces.ingest.record import (
    Batch,
    SpanRecord,
    ToolsetRecord,
    TraceRecord,
    content_hash,
)

Identity = Annotated[str, Meta(min_length=1, max_length=200)]
Count = Annotated[int, Meta(ge=0, le=2_147_483_647)]
Milliseconds = Annotated[float, Meta(ge=0, le=3_155_760_000_000)]  # a century
Usd = Annotated[float, Meta(ge=0, le=1_000_000)]
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
AHEAD = timedelta(days=1)


class ToolIn(msgspec.Struct, omit_defaults=True):
    name: Identity
    schema: dict[str, Any] | None = None
    risk: str | None = None


class StepIn(msgspec.Struct, kw_only=True):
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


def add_step(batch: Batch, step: StepIn, *, now: datetime, repaired: bool = False, synthetic: bool = False) -> None:
    """Add one valid step to the batch."""
    trace, external_id = trace_key(step.trace_id)
    about = batch.trace(trace, external_id)
    if step.is_status:
        _note_trace(about, step, span=None)
        about.status_items.append(step.trace_status or "")
        return
    span = _span(trace, step, now=now, repaired=repaired, synthetic=synthetic)
    _note_trace(about, step, span=span)
    batch.spans.append(span)


def _note_trace(about: TraceRecord, step: StepIn, *, span: SpanRecord | None) -> None:
    about.session_id = about.session_id or step.session_id or ""
    about.name = cut(step.trace_name or "", MAX_NAME) or about.name
    if step.event_type != "human_gate":  # its agent is the person who speaks
        about.agent = about.agent or cut(step.agent or "", MAX_NAME)
    about.user = about.user or cut(step.user or "", MAX_NAME)
    about.environment = about.environment or cut(step.environment or "", MAX_NAME)
    about.release = about.release or cut(step.release or "", MAX_NAME)
    about.status = step.trace_status or about.status
    if span is not None and not about.preview and span.event_type != "tool_call":
        about.preview = preview.of_text(span.text) or ""


def _span(trace: UUID, step: StepIn, *, now: datetime, repaired: bool, synthetic: bool) -> SpanRecord:
    number, timestamp = step.step_number, step.timestamp
    if number is None or timestamp is None:
        raise ValueError("a step has a number and a time; the door checks it")
    started_at, original = sane_time(timestamp, now)
    output, arguments = _body(step.tool_output), _body(step.tool_input)
    attributes = _attributes(step.metadata)
    is_shorter = (arguments.is_cut, output.is_cut, _is_long(step), bool(attributes) and attributes is not step.metadata)
    return SpanRecord(
        trace=trace,
        span_id=step.span_id or span_key(trace, number),
        parent_span_id=step.parent_span_id,
        step_number=number,
        event_type=step.event_type,
        name=_name(step.name),
        tool_name=_name(step.tool_name),
        agent=_name(step.agent),
        model=_name(step.model),
        provider=_name(step.provider),
        approval_id=step.approval_id,
        decision=_name(step.decision),
        started_at=started_at,
        ended_at=None if step.duration_ms is None else started_at + timedelta(milliseconds=step.duration_ms),
        is_error=step.is_error,
        repaired=repaired or original is not None or any(is_shorter),
        synthetic_time=synthetic,
        input_tokens=step.input_tokens,
        output_tokens=step.output_tokens,
        cached_tokens=step.cached_tokens,
        cache_written_tokens=step.cache_written_tokens,
        context_tokens=step.context_token_count,
        cost_usd=None if step.cost_usd is None else money(step.cost_usd),
        input_hash=_arguments_hash(step.tool_input, arguments),
        output_hash=None if output.text is None else content_hash(output.text.encode()),
        output_size=output.size,
        toolset=_toolset(step.tools),
        original_timestamp=original,
        input_preview=preview.of_arguments(step.tool_input),
        output_preview=preview.of_result(step.tool_output) or preview.of_text(step.text or step.error),
        input=arguments.text,
        output=output.text,
        text=None if step.text is None else cut(step.text),
        thinking=None if step.model_thinking is None else cut(step.model_thinking),
        error=None if step.error is None else cut(step.error),
        attributes=attributes,
    )


def sane_time(value: datetime, now: datetime) -> tuple[datetime, str | None]:
    """Return the time in UTC, and what was sent where it is absurd and the moment of receipt stands in for it.

    A time without an offset is taken as UTC. Absurd is: before 2000, or more than a day ahead.
    """
    value = value.replace(tzinfo=UTC) if value.tzinfo is None else value
    if EARLIEST <= value <= now + AHEAD:
        return value.astimezone(UTC), None
    return now, value.isoformat()


def arguments_hash(value: Any) -> int:
    """Return the hash of the canonical JSON: equal arguments in any order of keys have the same."""
    return content_hash(msgspec.json.encode(value, order="deterministic"))


def _name(value: str | None) -> str | None:
    return cut(value, MAX_NAME) if value else None


class _Body(NamedTuple):
    """A JSON value as it is stored: its text, or, where that is too long, a JSON string of its start."""

    text: str | None = None
    size: int | None = None  # characters of the whole
    is_cut: bool = False


def _body(value: Any) -> _Body:
    if value is None:
        return _Body()
    text = msgspec.json.encode(value).decode()
    if len(text) <= MAX_TEXT:
        return _Body(text, len(text))
    if isinstance(value, str) and is_cut(value):  # by an earlier import
        return _Body(text, whole_size(value))
    return _Body(msgspec.json.encode(cut(text)).decode(), len(text), is_cut=True)


def _arguments_hash(value: Any, body: _Body) -> int | None:
    """Return the hash of the arguments, or, where they are too long, of what is stored of them."""
    if body.text is None or body.size is None:
        return None
    return arguments_hash(value) if body.size <= MAX_TEXT else content_hash(body.text.encode())


def _attributes(metadata: dict[str, Any] | None) -> dict[str, Any] | None:
    if not metadata:
        return None
    text = msgspec.json.encode(metadata).decode()
    before = metadata.get("agentops.cut")
    if len(text) <= MAX_ATTRIBUTES or (isinstance(before, str) and is_cut(before, MAX_ATTRIBUTES)):
        return metadata
    return {"agentops.cut": cut(text, MAX_ATTRIBUTES)}


def _is_long(step: StepIn) -> bool:
    texts = (step.text, step.model_thinking, step.error)
    names = (
        step.name, step.tool_name, step.agent, step.model, step.provider, step.decision,
        step.user, step.trace_name, step.environment, step.release,
    )  # fmt: skip
    return any(is_long(text) for text in texts if text) or any(is_long(name, MAX_NAME) for name in names if name)


def _toolset(tools: list[ToolIn] | None) -> ToolsetRecord | None:
    if not tools:
        return None
    plain = msgspec.to_builtins(tools)
    return ToolsetRecord(sha256(msgspec.json.encode(plain, order="deterministic")).digest(), plain)
