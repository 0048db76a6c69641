"""The statements that keep lone calls together; see threads.py."""

from collections.abc import Iterable
from datetime import date
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from uuid_utils.compat import uuid7

from traces.ingest import shape
from traces.ingest.echoes import bare
from traces.ingest.joins_sql import BY_CALL, by_call
from traces.ingest.otlp_record import ECHO, SAID


class Row(NamedTuple):
    """The row of a trace that may keep others, or move."""

    trace_id: UUID
    id: UUID
    trace_day: date
    steps: int
    shape: str
    shape_stride: int
    is_thread: bool


# Threads and what they are joined by are looked for in the days that are near, as calls are (joins_sql.py).
_NEAR = "t.trace_day >= (now() AT TIME ZONE 'UTC')::date - 1"
_CALLS = f"""
SELECT DISTINCT t.trace_id, s.call_id FROM traces_span s JOIN traces_trace t ON t.id = s.trace_ref_id
WHERE {BY_CALL} AND {_NEAR}
"""  # noqa: S608 - built from constants alone
_THREADS = f"""
SELECT DISTINCT ON (p.session_id) p.session_id, p.thread FROM threads_part p
JOIN traces_trace t ON t.project_id = p.project_id AND t.trace_id = p.thread
WHERE p.project_id = %(project)s AND p.session_id = ANY(%(sessions)s) AND p.session_id <> '' AND {_NEAR}
ORDER BY p.session_id, p.received_at DESC
"""  # noqa: S608 - built from constants alone
_KEPT = "SELECT trace_id, thread FROM threads_part WHERE project_id = %(project)s AND trace_id = ANY(%(traces)s)"
_ROWS = """
SELECT t.trace_id, t.id, t.trace_day, t.steps, t.shape, t.shape_stride,
    EXISTS (SELECT FROM threads_part p WHERE p.project_id = t.project_id AND p.thread = t.trace_id)
FROM traces_trace t WHERE t.project_id = %(project)s AND t.trace_id = ANY(%(traces)s)
ORDER BY t.received_at, t.id FOR UPDATE OF t
"""
_NOTE = """
INSERT INTO threads_part (id, project_id, trace_id, thread, session_id)
SELECT id, %(project)s, trace_id, thread, session FROM unnest(
    %(ids)s::uuid[], %(traces)s::uuid[], %(threads)s::uuid[], %(sessions)s::text[]) AS s (id, trace_id, thread, session)
ON CONFLICT (project_id, trace_id) DO NOTHING
"""
# Moved spans arrive anew, so that detectors and search read them; one whose id is there already is the same span.
_MOVE = """
UPDATE traces_span s SET trace_ref_id = k.id, trace_day = k.trace_day, arrival = k.arrivals + n.place
FROM traces_trace k, (
    SELECT s.project_id, s.trace_day, s.trace_ref_id, s.span_id,
        row_number() OVER (ORDER BY s.trace_ref_id, s.arrival)::int - 1 AS place
    FROM traces_trace g JOIN traces_span s
        ON s.project_id = g.project_id AND s.trace_day = g.trace_day AND s.trace_ref_id = g.id
    WHERE g.id = ANY(%(gone)s) AND s.trace_day = ANY(%(days)s)
) AS n
WHERE k.id = %(keeper)s AND s.project_id = n.project_id AND s.trace_day = n.trace_day
    AND s.trace_ref_id = n.trace_ref_id AND s.span_id = n.span_id AND s.trace_day = ANY(%(days)s)
    AND NOT EXISTS (
        SELECT FROM traces_span o WHERE o.project_id = s.project_id AND o.trace_day = k.trace_day
            AND o.trace_day = %(day)s AND o.trace_ref_id = k.id AND o.span_id = s.span_id
    )
"""
_ADD_UP = """
UPDATE traces_trace k SET arrivals = k.arrivals + g.arrivals, spans = k.spans + g.spans, steps = k.steps + g.steps,
    errors = k.errors + g.errors, input_tokens = k.input_tokens + g.input_tokens,
    output_tokens = k.output_tokens + g.output_tokens, cached_tokens = k.cached_tokens + g.cached_tokens,
    cost_usd = CASE WHEN g.cost_usd IS NULL THEN k.cost_usd ELSE coalesce(k.cost_usd, 0) + g.cost_usd END,
    estimated_usd = k.estimated_usd + g.estimated_usd, priced = k.priced + g.priced, unpriced = k.unpriced + g.unpriced,
    started_at = least(k.started_at, g.started_at), ended_at = greatest(k.ended_at, g.ended_at),
    session_id = coalesce(k.session_id, g.session_id), preview = coalesce(nullif(k.preview, ''), g.preview),
    tool_names = ARRAY(
        SELECT unnest(k.tool_names) UNION SELECT unnest(o.tool_names) FROM traces_trace o WHERE o.id = ANY(%(gone)s)
        ORDER BY 1 LIMIT 100
    ),
    shape = %(shape)s, shape_stride = %(stride)s
FROM (
    SELECT sum(arrivals)::int AS arrivals, sum(spans)::int AS spans, sum(steps)::int AS steps,
        sum(errors)::int AS errors, sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
        sum(cached_tokens) AS cached_tokens, sum(cost_usd) AS cost_usd,
        sum(estimated_usd) AS estimated_usd, sum(priced)::int AS priced, sum(unpriced)::int AS unpriced,
        min(started_at) AS started_at, max(ended_at) AS ended_at,
        (array_agg(session_id) FILTER (WHERE session_id IS NOT NULL))[1] AS session_id,
        coalesce(max(preview), '') AS preview
    FROM traces_trace WHERE id = ANY(%(gone)s)
) AS g WHERE k.id = %(keeper)s
"""
_FOLLOW = "UPDATE threads_part SET thread = %(kept_as)s WHERE project_id = %(project)s AND thread = ANY(%(traces)s)"
_FORGET = (
    "DELETE FROM traces_detectjob WHERE trace_id = ANY(%(gone)s)",
    "DELETE FROM traces_trace WHERE id = ANY(%(gone)s)",
)


def lock(project_id: UUID) -> None:
    """Let the batches with lone calls of a project come one after the other, until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"traces.threads.{project_id}"])


def kept(project_id: UUID, traces: list[UUID]) -> dict[UUID, UUID]:
    """Return, of those of the traces that are part of a thread, the trace that keeps it. One statement."""
    with connection.cursor() as cursor:
        cursor.execute(_KEPT, {"project": project_id, "traces": traces})
        return dict(cursor.fetchall())


def stored_calls(project_id: UUID, calls: set[str]) -> Iterable[tuple[UUID, str]]:
    """Return the traces that tell of these calls and responses. One statement, none without calls."""
    if not calls:
        return []
    asked = by_call(f"{prefix}{call}" for call in calls for prefix in ("", SAID, ECHO))
    with connection.cursor() as cursor:
        cursor.execute(_CALLS, {"project": project_id, **asked})
        return [(trace, bare(call)) for trace, call in cursor.fetchall()]


def threads_of(project_id: UUID, sessions: set[str]) -> Iterable[tuple[str, UUID]]:
    """Return the newest thread of each session. One statement, none without sessions."""
    if not sessions:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_THREADS, {"project": project_id, "sessions": list(sessions)})
        return list(cursor.fetchall())


def rows_of(project_id: UUID, traces: list[UUID]) -> list[Row]:
    """Return the rows of these traces, locked, the one that was received first before the others. One statement."""
    with connection.cursor() as cursor:
        cursor.execute(_ROWS, {"project": project_id, "traces": traces})
        return [Row(*row) for row in cursor.fetchall()]


def note(project_id: UUID, found: dict[UUID, UUID], sessions: dict[UUID, str]) -> None:
    """Remember what keeps each of these traces. One statement."""
    sent: dict[str, Any] = {
        "project": project_id,
        "ids": [uuid7() for _ in found],
        "traces": list(found),
        "threads": list(found.values()),
        "sessions": [sessions[trace] for trace in found],
    }
    if found:
        with connection.cursor() as cursor:
            cursor.execute(_NOTE, sent)


def move(project_id: UUID, gone: list[Row], keeper: Row) -> None:
    """Move the spans of some traces to the one that keeps them, with their sums, and forget those traces."""
    drawn, stride, steps = keeper.shape, keeper.shape_stride, keeper.steps
    for row in gone:
        drawn, stride = shape.extend(drawn, stride, steps, list(row.shape))
        steps += row.steps
    sent: dict[str, Any] = {
        "project": project_id,
        "gone": [row.id for row in gone],
        "traces": [row.trace_id for row in gone],
        "days": list({row.trace_day for row in gone}),
        "keeper": keeper.id,
        "day": keeper.trace_day,
        "kept_as": keeper.trace_id,
        "shape": drawn,
        "stride": stride,
    }
    with connection.cursor() as cursor:
        for statement in (_MOVE, _ADD_UP, _FOLLOW, *_FORGET):
            cursor.execute(statement, sent)
