"""Threads: where a client sends one trace for each call, the calls of one session are kept as one run.

A trace is a lone call when the span without a parent is a call of a model or of a tool. Lone calls belong together by
their session, and by the ids of tool calls and of responses that more than one of them tells of; those ids also lead to
the run that a lone call was lost from. Whatever comes first keeps the others, so the order of arrival does not matter.
"""

from collections.abc import Collection, Iterable
from typing import Any
from uuid import UUID

import msgspec

from traces.ingest import threads_sql
from traces.ingest.echoes import bare, is_unique
from traces.ingest.record import Batch, Origin, SpanRecord, TraceRecord

OTLP = "otlp"
SENT_AS = "agentops.trace_id"  # the attribute that keeps what was sent
SAID_FIRST = ("session_id", "name", "preview", "agent", "user", "environment", "release", "service")

Node = UUID | str  # a trace, or what joins traces: "session:…", or the id of a call


class Groups:
    """Which traces belong together; each has a representative."""

    def __init__(self) -> None:
        self.above: dict[Node, Node] = {}

    def of(self, node: Node) -> Node:
        while (above := self.above.setdefault(node, node)) != node:
            self.above[node] = node = self.above[above]
        return node

    def join(self, one: Node, other: Node) -> None:
        self.above[self.of(one)] = self.of(other)

    def traces(self) -> list[list[UUID]]:
        """Return the traces of each group, in the order in which they were named."""
        found: dict[Node, list[UUID]] = {}
        for node in list(self.above):
            if isinstance(node, UUID):
                found.setdefault(self.of(node), []).append(node)
        return list(found.values())


def fold(project_id: UUID, batch: Batch, origin: Origin) -> Batch:
    """Return the batch with each lone call under the trace that keeps its thread. Inside the caller's transaction.

    One statement; about six more, under a lock of the project, where a trace of the batch is a new lone call.
    """
    lone = [about.trace for about in batch.traces.values() if about.is_lone]
    if not lone and origin.source != OTLP:
        return batch
    if lone:
        threads_sql.lock(project_id)
    kept = threads_sql.kept(project_id, list(batch.traces))
    new = [trace for trace in lone if trace not in kept]
    if new:
        threads_sql.note(project_id, *_join(project_id, batch, new, kept))
        kept = threads_sql.kept(project_id, list(batch.traces))
    return _refiled(batch, kept) if kept else batch


def _join(
    project_id: UUID, batch: Batch, new: list[UUID], kept: dict[UUID, UUID]
) -> tuple[dict[UUID, UUID], dict[UUID, str]]:
    """Put threads together that new lone calls join; return what keeps each of those, and their sessions."""
    sessions = {trace: batch.traces[trace].session_id for trace in new}
    telling = {one.span.trace for one in batch.told}
    # One with a session, and one that has to do with tools, is part of a run whose other calls come later.
    parts = [
        some
        for some in _groups(project_id, batch, sessions, kept)
        if len(some) > 1 or sessions[some[0]] or some[0] in telling
    ]
    rows = threads_sql.rows_of(project_id, [trace for some in parts for trace in some])
    ranks = {row.trace_id: (rank, row) for rank, row in enumerate(rows)}
    found: dict[UUID, UUID] = {}
    for some in parts:
        there = [row for _, row in sorted(ranks[trace] for trace in some if trace in ranks)]
        keeper = _keep(project_id, some, there, sessions.keys())
        found |= {trace: keeper for trace in some if trace in sessions}
    return found, sessions


def _groups(project_id: UUID, batch: Batch, sessions: dict[UUID, str], kept: dict[UUID, UUID]) -> Iterable[list[UUID]]:
    """Return the new lone calls that belong together with all that they join, a new one first. Two statements."""
    groups, keys = Groups(), _keys(batch)
    for trace, session in sessions.items():
        groups.join(trace, f"session:{session}" if session else trace)
    for trace, calls in keys.items():
        for call in calls:
            groups.join(kept.get(trace, trace), call)
    asked = {call for trace in sessions for call in keys.get(trace, ())}
    for trace, call in threads_sql.stored_calls(project_id, asked):
        groups.join(trace, call)
    for session, thread in threads_sql.threads_of(project_id, set(sessions.values()) - {""}):
        groups.join(thread, f"session:{session}")
    return (some for some in groups.traces() if some[0] in sessions)


def _keys(batch: Batch) -> dict[UUID, set[str]]:
    """Return the ids of calls and responses that each trace tells of, as far as they are unique."""
    keys: dict[UUID, set[str]] = {}
    told = ((one.span.trace, one.call.id) for one in batch.told)
    own = ((span.trace, bare(span.call_id)) for span in batch.spans if span.call_id and not span.is_told)
    for trace, call_id in (*told, *own):
        if is_unique(call_id):
            keys.setdefault(trace, set()).add(call_id)
    return keys


def _keep(project_id: UUID, group: list[UUID], rows: list[threads_sql.Row], lone: Collection[UUID]) -> UUID:
    """Return the trace that keeps a group: a run with spans around its calls, else what came first."""
    runs = [row for row in rows if not row.is_thread and row.trace_id not in lone]
    runs_here = [trace for trace in group if trace not in lone and trace not in {row.trace_id for row in rows}]
    keeper = [*(row.trace_id for row in (*runs, *rows)), *runs_here, *group][0]
    gone = [row for row in rows if row not in runs and row.trace_id != keeper]
    if gone:
        threads_sql.move(project_id, gone, next(row for row in rows if row.trace_id == keeper))
    return keeper


def _refiled(batch: Batch, kept: dict[UUID, UUID]) -> Batch:
    """Return the batch as the threads keep it. What was sent stays as it was, for another try."""
    traces: dict[UUID, TraceRecord] = {}
    for about in batch.traces.values():
        thread = kept.get(about.trace, about.trace)
        said = msgspec.structs.replace(about, trace=thread)
        if about.trace in kept:
            # The end of one call is not the end of the run, nor is its name the run's.
            said.root_ended_at, said.name = None, "" if about.preview else about.name
        traces[thread] = _merged(traces[thread], said) if thread in traces else said
    spans = [_filed(span, kept.get(span.trace, span.trace)) for span in batch.spans]
    return msgspec.structs.replace(batch, spans=spans, traces=traces)


def _filed(span: SpanRecord, thread: UUID) -> SpanRecord:
    if span.trace == thread:
        return span
    attributes: dict[str, Any] = {**(span.attributes or {}), SENT_AS: span.trace.hex}
    return msgspec.structs.replace(span, trace=thread, attributes=attributes)


def _merged(first: TraceRecord, other: TraceRecord) -> TraceRecord:
    """Return what two records say of one trace; what was said first stays."""
    said = {name: getattr(first, name) or getattr(other, name) for name in SAID_FIRST}
    return msgspec.structs.replace(first, **said, root_ended_at=first.root_ended_at or other.root_ended_at)
