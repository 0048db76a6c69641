"""Records that echo a call which a span of its own may tell of as well: a client library's, or log records.

An echo is a step where nothing else tells of its call. Where a span does, the span takes what it lacks, and the echo
becomes a plain span. So each call is one step and its usage is counted once, whichever of them came first.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar
from uuid import UUID

import msgspec

from traces.ingest.dialects.base import MODEL, SPAN, TOOL, USAGE
from traces.ingest.otlp_record import ECHO, NAMED, SAID
from traces.ingest.record import SpanRecord

UNIQUE = 16  # characters from which on an id names one call in all traces; shorter ones are counters
OF_ITS_TRACE = (NAMED, SPAN, USAGE)
SOON = timedelta(seconds=1)  # between an answer and its words, where no id says that they belong together
IN = ("input", "input_hash", "input_preview")
OUT = ("output", "output_hash", "output_size", "output_preview")
USED = ("input_tokens", "output_tokens", "cached_tokens", "cache_written_tokens", "context_tokens", "cost_usd")
FILLED = (
    *IN,
    *OUT,
    *USED,
    "tool_name",
    "agent",
    "model",
    "provider",
    "decision",
    "text",
    "thinking",
    "toolset",
    "is_error",
    "error",
)
_NO_STEP: dict[str, Any] = dict.fromkeys(("event_type", *USED))


class Timed(Protocol):
    """What twins are found by, in a record and in what is stored alike."""

    @property
    def trace(self) -> UUID: ...
    @property
    def event_type(self) -> str | None: ...
    @property
    def call_id(self) -> str | None: ...
    @property
    def started_at(self) -> datetime: ...
    @property
    def ended_at(self) -> datetime | None: ...


T = TypeVar("T", bound=Timed)


def bare(call_id: str | None) -> str:
    """Return what a call is found by, whatever tells of it."""
    return (call_id or "").removeprefix(SAID).removeprefix(ECHO)


def is_unique(call_id: str | None) -> bool:
    """Say whether an id names one call in all traces."""
    key = bare(call_id)
    return len(key) >= UNIQUE and not key.startswith(OF_ITS_TRACE)


def is_echo(span: Timed) -> bool:
    return span.event_type is not None and (span.call_id or "").startswith(ECHO)


def is_words(span: Timed) -> bool:
    """Say whether a span is no step, and holds the words of an answer whose usage another one tells of."""
    return span.event_type is None and (span.call_id or "").startswith(ECHO)


def twins(span: Timed, key: str, candidates: Iterable[T]) -> list[T]:
    """Return those of a key that tell of the same call: of requests with the same usage, the one at the same time."""
    kind = MODEL if is_words(span) else span.event_type
    found = [one for one in candidates if one.event_type == kind and (one.trace == span.trace or is_unique(key))]
    if not bare(key).startswith(USAGE):
        return found
    at_once = (one for one in found if one.started_at <= end(span) and span.started_at <= end(one))
    return sorted(at_once, key=lambda one: abs(end(one) - end(span)))[:1]


def around(echo: SpanRecord) -> str:
    """Return what the span that an answer's echo was made in is found by, which may be the request's own."""
    return "" if echo.event_type == TOOL or echo.parent_span_id is None else f"{SPAN}{echo.parent_span_id}"


def end(span: Timed) -> datetime:
    return span.ended_at or span.started_at


def without_echoes(spans: list[SpanRecord]) -> list[SpanRecord]:
    """Return the spans of a batch with each echo quiet whose call has a span in it, and words with their answer.

    An answer within another is an echo too, whatever it says of itself: an instrumentation around a client library.
    """
    answers = {span.key for span in spans if span.event_type == MODEL}
    echoes = [
        place
        for place, span in enumerate(spans)
        if is_echo(span) or (span.event_type == MODEL and (span.trace, span.parent_span_id) in answers)
    ]
    words = [place for place, span in enumerate(spans) if is_words(span)]
    if not echoes and not words:
        return spans
    batch = _Batch(spans)
    for place in echoes:
        batch.settle_echo(place)
    for place in words:
        batch.settle_words(place)
    return batch.spans


class _Batch:
    """The spans of a batch, by what their calls are found by."""

    def __init__(self, spans: list[SpanRecord]) -> None:
        self.spans = list(spans)
        self.places: dict[str, list[int]] = {}
        for place, span in enumerate(spans):
            if span.event_type is not None:
                self.places.setdefault(span.call_id or "", []).append(place)
                self.places.setdefault(f"{SPAN}{span.span_id}", []).append(place)

    def settle_echo(self, place: int) -> None:
        echo = self.spans[place]
        key = bare(echo.call_id) if is_echo(echo) else ""
        own = self._find(echo, key, around(echo))
        if own is not None:
            self.spans[place] = silenced(echo, self.spans[own])
            self.spans[own] = completed(self.spans[own], echo)

    def settle_words(self, place: int) -> None:
        """Give the words of an answer to the step of its request: by its id, else to the one that ended just then."""
        words = self.spans[place]
        key = bare(words.call_id)
        answer = self._find(words, key, f"{ECHO}{key}") if key else self._nearest(words)
        if answer is not None:
            self.spans[answer] = completed(self.spans[answer], words)

    def _find(self, span: SpanRecord, *keys: str) -> int | None:
        """Return the place of another span that tells of the same call, by the first key that finds one."""
        for key in filter(None, keys):
            places = {id(one): i for i in self.places.get(key, []) if (one := self.spans[i]) is not span}
            found = twins(span, key, [self.spans[i] for i in places.values()])
            if found:
                return places[id(found[0])]
        return None

    def _nearest(self, words: SpanRecord) -> int | None:
        places = [
            place for place, span in enumerate(self.spans) if span.event_type == MODEL and span.trace == words.trace
        ]
        away = {place: abs(end(self.spans[place]) - words.started_at) for place in places}
        nearest = min(away, key=away.__getitem__, default=None)
        return nearest if nearest is not None and away[nearest] <= SOON else None


def completed(span: SpanRecord, other: SpanRecord) -> SpanRecord:
    """Return a span with what it lacks and another record of its call tells."""
    fields = [field for field in FILLED if getattr(span, field) is None and getattr(other, field) is not None]
    taken = {field: getattr(other, field) for field in fields}
    if span.event_type == TOOL and has_better_input(other, span):
        taken |= {field: getattr(other, field) for field in IN}
    if not taken.get("is_error", span.is_error):
        taken.pop("error", None)
    return msgspec.structs.replace(span, **taken) if taken else span


def has_better_input(told: SpanRecord, span: SpanRecord) -> bool:
    """Say whether messages tell the arguments by name, and the tool's own span does not."""
    if not told.input or span.input is None:
        return bool(told.input)
    return told.input[0] == "{" and span.input[0] != "{"


def silenced(echo: SpanRecord, twin: SpanRecord | None = None) -> SpanRecord:
    """Return an echo that is no step; one that stands alone moves under the span that tells the same."""
    moved = {"trace": twin.trace, "parent_span_id": twin.span_id} if twin and not echo.parent_span_id else {}
    return msgspec.structs.replace(echo, **_NO_STEP, **moved)


def fill(stored: SpanRecord, better: SpanRecord) -> SpanRecord:
    """Return the record that adds to a stored span what it lacked; `better` is the span with it."""
    fields = [field for field in FILLED if getattr(better, field) != getattr(stored, field)]
    return SpanRecord(
        trace=stored.trace,
        span_id=stored.span_id,
        started_at=stored.started_at,
        event_type=stored.event_type,
        is_told=True,
        **{field: getattr(better, field) for field in fields},
    )
