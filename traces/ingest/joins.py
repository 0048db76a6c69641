"""Calls of a batch that are stored already, told of by an earlier batch: the same trace results, whatever came first.

Looked up by what a call is found by (Span.call_id), in the days that are near, while the batch's traces are locked.
"""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

import msgspec

from traces.ingest.calls import absorb, has_better_input, is_unique, join, silenced
from traces.ingest.dialects.base import MODEL, TOOL
from traces.ingest.joins_sql import Stored, find, forget_input, remove, silence
from traces.ingest.otlp_record import ECHO, NAMED, SAID
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
            self.stored.setdefault(one.call_id, []).append(one)
        self.gone: dict[tuple[UUID, str], Stored] = {}
        self.silent: list[Stored] = []
        self.without_input: list[Stored] = []

    def settle(self, span: SpanRecord) -> SpanRecord | None:
        """Return what is left to store of a span; None where all of it is there."""
        key = span.call_id or ""
        if span.event_type == MODEL and key:
            return self._model(span, key)
        if span.is_told:
            return self._told(span, key.removeprefix(SAID))
        if span.event_type == TOOL and key:
            return self._tool(span, key)
        return span

    def _model(self, span: SpanRecord, key: str) -> SpanRecord:
        if key.startswith(ECHO):
            return silenced(span) if self._of(span, key.removeprefix(ECHO)) else span
        self.silent += [one for one in self._of(span, f"{ECHO}{key}") if one.event_type is not None]
        return span

    def _tool(self, span: SpanRecord, key: str) -> SpanRecord:
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
                span = absorb(span, one.record())
        return span

    def _told(self, told: SpanRecord, call_id: str) -> SpanRecord | None:
        own = self._of(told, call_id)
        said = self._of(told, f"{SAID}{call_id}")
        if not own:
            named = self._of(told, f"{NAMED}{told.tool_name}")
            own = [one for one in named if told.started_at <= one.started_at or (told.synthetic_time and not said)]
        if own:
            return self._fill(own[0], told)
        for one in said:
            if one.trace == told.trace:
                continue
            if one.synthetic_time and not told.synthetic_time:
                self.gone[one.trace_ref, one.span_id] = one
                told = join(told, one.record())
            else:
                told = msgspec.structs.replace(told, trace=one.trace, span_id=one.span_id, parent_span_id=None)
        return told

    def _fill(self, own: Stored, told: SpanRecord) -> SpanRecord | None:
        """Return the record that adds to a tool's stored span what only messages tell of it."""
        span = own.record()
        better = absorb(span, told)
        if better is span:
            return None
        if span.input is not None and has_better_input(told, span):
            self.without_input.append(own)
        filled: dict[str, Any] = {
            field: getattr(better, field)
            for field in (
                "input",
                "input_hash",
                "input_preview",
                "output",
                "output_hash",
                "output_size",
                "output_preview",
            )
        }
        return SpanRecord(
            trace=span.trace, span_id=span.span_id, started_at=span.started_at, event_type=TOOL, is_told=True, **filled
        )

    def _of(self, span: SpanRecord, key: str) -> list[Stored]:
        """Return the stored spans of a key, of other traces too where the key is of one call in all of them."""
        found = self.stored.get(key, [])
        return [one for one in found if one.trace == span.trace or is_unique(key)]


def join_stored(project_id: UUID, spans: list[SpanRecord]) -> Joined:
    """Return what is to be written of a batch's spans, after what is stored was changed where it must be.

    One statement where the batch holds calls, and some more for each kind of change.
    """
    calls, named = _wanted(spans)
    stored = find(project_id, calls=calls, named=named) if calls or named else []
    if not stored:
        return Joined(spans)
    joins = _Join(stored)
    left = [one for span in spans if (one := joins.settle(span)) is not None]
    remove(project_id, list(joins.gone.values()))
    silence(project_id, joins.silent)
    forget_input(project_id, joins.without_input)
    return Joined(left, changed=bool(joins.gone or joins.silent))


def _wanted(spans: list[SpanRecord]) -> tuple[set[str], list[SpanRecord]]:
    """Return what the stored spans are found by, and the tools' spans that name no call."""
    calls: set[str] = set()
    named: list[SpanRecord] = []
    for span in spans:
        key = span.call_id
        if key is None or span.event_type is None:
            continue
        if span.is_told:
            calls |= {key, key.removeprefix(SAID), f"{NAMED}{span.tool_name}"}
        elif key.startswith(NAMED):
            named.append(span)
        elif span.event_type == MODEL:
            calls.add(key.removeprefix(ECHO) if key.startswith(ECHO) else f"{ECHO}{key}")
        else:
            calls.add(f"{SAID}{key}")
    return calls, named
