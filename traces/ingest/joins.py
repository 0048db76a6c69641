"""Calls of a batch that are stored already, told of by an earlier batch: the same trace results, whatever came first.

Looked up by what a call is found by (Span.call_id), in the days that are near, while the batch's traces are locked.
"""

from collections.abc import Collection, Iterable
from datetime import date
from uuid import UUID

import msgspec

from traces.ingest.calls import join
from traces.ingest.dialects.base import GATE, MODEL, SPAN, TOOL
from traces.ingest.echoes import (
    around,
    bare,
    completed,
    fill,
    has_better_input,
    is_echo,
    is_unique,
    is_words,
    silenced,
    twins,
)
from traces.ingest.joins_sql import Stored, Wanted, find, forget_input, remove, silence
from traces.ingest.otlp_record import ECHO, KEYED, NAMED, SAID
from traces.ingest.record import SpanRecord


class Joined(msgspec.Struct):
    """The spans of a batch after what is stored was taken into account, and whether anything stored changed."""

    spans: list[SpanRecord]
    changed: bool = False


class _Join:
    """The joins of one batch."""

    def __init__(self, stored: Iterable[Stored]) -> None:
        self.stored: dict[str, list[Stored]] = {}
        for one in stored:
            self.stored.setdefault(one.call_id or "", []).append(one)
            self.stored.setdefault(f"{SPAN}{one.span_id}", []).append(one)
        self.gone: dict[tuple[UUID, str], Stored] = {}
        self.silent: dict[tuple[UUID, str], Stored] = {}
        self.without_input: list[Stored] = []

    def settle(self, span: SpanRecord) -> list[SpanRecord]:
        """Return what is left to store of a span, nothing where all of it is there, and what it adds to another."""
        key = bare(span.call_id)
        if span.is_told:
            return self._told(span, key)
        if is_words(span):
            own = self._own(span, key, f"{ECHO}{key}") if key else None
            return [span, *(self._add(own, span) if own else [])]
        if is_echo(span) and (own := self._own(span, key, around(span))):
            return [silenced(span), *self._add(own, span)]
        if span.event_type == TOOL:
            return [self._tool(self._complete(span, key), key)]
        return [self._complete(span, key)] if span.event_type in KEYED else [span]

    def _complete(self, span: SpanRecord, key: str) -> SpanRecord:
        """Return a step with what its echoes tell, which are stored, and are no steps any more where it is none."""
        for name in filter(None, [key] if is_echo(span) else [key, f"{SPAN}{span.span_id}"]):
            echoes = self.stored.get(f"{ECHO}{name}", [])
            for words in echoes if is_unique(name) else []:
                if words.event_type is None:
                    span = completed(span, words.record())
            for one in [] if is_echo(span) else twins(span, name, echoes):
                self.silent[one.trace_ref, one.span_id] = one
                span = completed(span, one.record())
        return span

    def _tool(self, span: SpanRecord, key: str) -> SpanRecord:
        """Return a tool's span with what messages told of its call; those that told of it alone are gone."""
        if key.startswith(NAMED):
            told = [
                one
                for some in self.stored.values()
                for one in some
                if one.is_told and (one.trace, one.tool_name) == (span.trace, span.tool_name)
                if one.synthetic_time or one.started_at <= span.started_at
            ]
        else:
            told = self._of(span, f"{SAID}{key}")
        for one in told:
            if self.gone.setdefault((one.trace_ref, one.span_id), one) is one:
                span = completed(span, one.record())
        return span

    def _told(self, told: SpanRecord, key: str) -> list[SpanRecord]:
        own = self._own(told, key, f"{ECHO}{key}")
        said = self._of(told, f"{SAID}{key}")
        if own is None:
            named = self._of(told, f"{NAMED}{told.tool_name}")
            later = (one for one in named if told.started_at <= one.started_at or (told.synthetic_time and not said))
            own = next(later, None)
        if own is not None:
            return self._add(own, told)
        for one in said:
            if (one.trace, one.span_id) == told.key:
                continue
            if one.trace == told.trace and not (is_unique(key) or told.synthetic_time):
                continue  # another call of the thread: a counter begins anew in each of its traces
            if one.synthetic_time and not told.synthetic_time:
                self.gone[one.trace_ref, one.span_id] = one
                told = join(told, one.record())
            else:
                told = msgspec.structs.replace(told, trace=one.trace, span_id=one.span_id, parent_span_id=None)
        return [told]

    def _own(self, span: SpanRecord, *keys: str) -> Stored | None:
        """Return the stored step that tells of the same call, by the first key that finds one."""
        found = (one for key in filter(None, keys) for one in twins(span, key, self.stored.get(key, [])))
        return next((one for one in found if one.span_id != span.span_id), None)

    def _add(self, own: Stored, span: SpanRecord) -> list[SpanRecord]:
        """Return the record that adds to a stored step what another tells of it; none where that is nothing."""
        stored = own.record()
        better = completed(stored, span)
        if better is stored:
            return []
        if own.event_type == TOOL and stored.input is not None and has_better_input(span, stored):
            self.without_input.append(own)
        return [fill(stored, better)]

    def _of(self, span: SpanRecord, key: str) -> list[Stored]:
        """Return the stored spans of a key, of other traces too where the key is of one call in all of them."""
        found = self.stored.get(key, [])
        return [one for one in found if one.trace == span.trace or is_unique(key)]


def join_stored(project_id: UUID, spans: list[SpanRecord], days: Collection[date]) -> Joined:
    """Return what is to be written of a batch's spans, after what is stored was changed where it must be.

    `days` are those of the batch's traces.

    One statement where the batch holds calls, one more for each of three ways to look, some for each kind of change.
    """
    wanted = wanted_by(spans)
    stored = find(project_id, wanted, days)
    if not stored:
        return Joined(spans)
    joins = _Join(stored)
    left = [one for span in spans for one in joins.settle(span)]
    remove(project_id, list(joins.gone.values()))
    silence(project_id, list(joins.silent.values()))
    forget_input(project_id, joins.without_input)
    return Joined(left, changed=bool(joins.gone or joins.silent))


def wanted_by(spans: list[SpanRecord]) -> Wanted:
    """Return what the stored spans are found by that may tell of the same calls."""
    wanted = Wanted()
    for span in spans:
        key = bare(span.call_id)
        if span.is_told:
            _want(wanted, span, key, SAID, "", ECHO)
            wanted.of_traces.add((span.trace, f"{NAMED}{span.tool_name}"))
        elif is_words(span) or is_echo(span):
            _want_own(wanted, span, key)
        elif span.event_type in {MODEL, GATE}:
            for name in filter(None, (key, f"{SPAN}{span.span_id}")):
                _want(wanted, span, name, ECHO)
        elif key.startswith(NAMED):
            wanted.named.append(span)
        elif span.event_type == TOOL and key:
            _want(wanted, span, key, SAID, ECHO)
    return wanted


def _want(wanted: Wanted, span: SpanRecord, key: str, *prefixes: str) -> None:
    """Want a key wherever it is, or, where others may have the same, in the span's trace: there may be any number.

    Ids of spans are random enough to be looked up by themselves, which costs less.
    """
    keys = [f"{prefix}{key}" for prefix in prefixes]
    if is_unique(key) or key.startswith(SPAN):
        wanted.calls.update(keys)
    else:
        wanted.of_traces.update((span.trace, one) for one in keys)


def _want_own(wanted: Wanted, echo: SpanRecord, key: str) -> None:
    if key and not key.startswith(SPAN):
        _want(wanted, echo, key, "", ECHO, *([SAID] if echo.event_type == TOOL else []))
    if is_echo(echo) and around(echo):
        wanted.spans.append((echo.trace, echo.parent_span_id or ""))
