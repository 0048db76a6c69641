"""Calls that messages tell of: in a model's answer, in the next request, and as a span of their own.

A tool's own span wins and takes over what it lacks. A call that is only told of in messages becomes a step, in the
trace of the answer that asked for it.
"""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from functools import reduce
from hashlib import blake2b
from typing import Any
from uuid import UUID

import msgspec

from traces.ingest import preview
from traces.ingest.clean import MAX_NAME, cut
from traces.ingest.dialects.base import TOOL, Reading
from traces.ingest.echoes import IN, OUT, bare, completed, is_unique, without_echoes
from traces.ingest.otlp_record import NAMED, SAID, body, json_text, name
from traces.ingest.record import Call, SpanRecord, Told, content_hash
from traces.ingest.step import arguments_hash

JUST_BEFORE = timedelta(microseconds=1)
Place = tuple[UUID | None, str]


def said_id(trace: UUID, call_id: str) -> str:
    return f"call-{blake2b(trace.bytes + call_id.encode(), digest_size=8).hexdigest()}"


def told_calls(span: SpanRecord, reading: Reading) -> Iterator[Told]:
    """Yield each call that a model's answer asks for, and each whose result its request tells."""
    for call in reading.calls:
        yield Told(span, call)
    names = {call.id: call for call in reading.told}
    for result in reading.results:
        yield Told(span, names.get(result.id) or Call(result.id), result)


def _asked(told: Told) -> SpanRecord:
    """Return the step of a call that was asked for, or whose result was told."""
    span = told.span
    if told.result is None:
        return _step(span, told.call, started_at=span.ended_at or span.started_at, parent_span_id=span.span_id)
    at = span.started_at - JUST_BEFORE
    step = _step(span, told.call, started_at=at, ended_at=at, synthetic_time=True)
    return msgspec.structs.replace(step, **_output(told.result.value))


def _step(span: SpanRecord, call: Call, **fields: Any) -> SpanRecord:
    arguments = json_text(call.arguments)
    return SpanRecord(
        trace=span.trace,
        span_id=said_id(span.trace, call.id),
        call_id=_key(call),
        event_type=TOOL,
        tool_name=name(call.name),
        agent=span.agent,
        input=body(arguments),
        input_hash=None if arguments is None else arguments_hash(call.arguments),
        input_preview=preview.of_arguments(call.arguments),
        attributes={"gen_ai.tool.call.id": call.id, "agentops.told_in_messages": True},
        is_told=True,
        **fields,
    )


def _output(value: Any) -> dict[str, Any]:
    text = json_text(value)
    if text is None:
        return {}
    hashed = content_hash(text.encode())
    return dict(zip(OUT, (body(text), hashed, len(text), preview.of_result(value, text)), strict=True))


def _key(call: Call) -> str:
    return cut(f"{SAID}{call.id}", MAX_NAME)


def settle(spans: list[SpanRecord], told: list[Told]) -> list[SpanRecord]:
    """Return the spans of a batch in which each call and each answer stands once. Linear time."""
    spans = without_echoes(spans)
    if not told:
        return spans
    own = {_place(span.trace, bare(span.call_id)): i for i, span in enumerate(spans) if span.event_type == TOOL}
    left = []
    for tellings in _by_call(told):
        if all(_is_known(one, spans, own) for one in tellings):
            continue
        call = _joined(tellings)
        place = own.get(_place(call.trace, bare(call.call_id)))
        if place is None:
            place = own.get(_place(call.trace, f"{NAMED}{call.tool_name}"))
            place = place if place is not None and spans[place].started_at >= call.started_at else None
        if place is None:
            left.append(call)
        else:
            spans[place] = completed(spans[place], call)
    return [*spans, *(call for call in left if call.tool_name)]


def _by_call(told: list[Told]) -> Iterable[list[Told]]:
    found: dict[Place, list[Told]] = {}
    for one in told:
        found.setdefault(_place(one.span.trace, _key(one.call)), []).append(one)
    return found.values()


def _place(trace: UUID, call_id: str) -> Place:
    """Return what a call is told apart by: an id that names one in all traces, else by its trace too."""
    return None if is_unique(call_id) else trace, call_id


def _is_known(told: Told, spans: list[SpanRecord], own: dict[Place, int]) -> bool:
    """Say whether a tool's own span has all that is told, as most do: then no step has to be made of it."""
    place = own.get(_place(told.span.trace, bare(_key(told.call))))
    if place is None or (told.result is not None and spans[place].output is None):
        return False
    arguments = spans[place].input
    return arguments is not None and (arguments[0] == "{" or not isinstance(told.call.arguments, dict))


def _joined(tellings: list[Told]) -> SpanRecord:
    """Return one step for a call: what asked for it, with the result that a later request told."""
    first, *others = map(_asked, sorted(tellings, key=lambda one: one.result is not None))
    return reduce(join, others, first)


def join(first: SpanRecord, other: SpanRecord) -> SpanRecord:
    """Return one step of two tellings of a call; the first decides where and when."""
    taken = {field: getattr(other, field) for field in (*IN, *OUT, "tool_name", "agent", "ended_at")}
    return msgspec.structs.replace(
        first, **{field: value for field, value in taken.items() if getattr(first, field) is None}
    )
