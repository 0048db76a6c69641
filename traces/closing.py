"""The end of a trace that nobody closed: after some quiet minutes it is closed by the clock."""

from uuid import UUID

from django.db import connection, transaction

from agentops.web.news import tell_pages

AT_ONCE = 200  # traces closed by one tick

_DUE = """
SELECT id, trace_day FROM traces_trace WHERE status = 'running' AND closes_at <= now()
ORDER BY closes_at LIMIT %s FOR UPDATE SKIP LOCKED
"""
# How its last step went, in step order, is all that is known about the end of such a run; a root says it of itself.
# The days are named, so that the partitions of all others are left out before they cost anything.
_CLOSE = """
UPDATE traces_trace t SET
    status = CASE WHEN (
        SELECT s.event_type = 'error' OR coalesce(s.is_error, false) FROM traces_span s
        WHERE s.project_id = t.project_id AND s.trace_day = t.trace_day AND s.trace_ref_id = t.id
            AND s.trace_day = ANY(%(days)s) AND s.event_type IS NOT NULL
        ORDER BY coalesce(s.step_number, 2147483647) DESC, s.started_at DESC,
            coalesce(s.ended_at, 'infinity') DESC, s.span_id DESC
        LIMIT 1
    ) OR EXISTS (
        SELECT FROM traces_span r
        WHERE t.root_ended_at IS NOT NULL AND r.project_id = t.project_id AND r.trace_day = t.trace_day
            AND r.trace_day = ANY(%(days)s) AND r.trace_ref_id = t.id
            AND r.parent_span_id IS NULL AND r.event_type IS NULL AND r.is_error
    ) THEN 'error' ELSE 'ok' END,
    closed_at = now()
WHERE t.id = ANY(%(traces)s)
RETURNING t.project_id, t.trace_id
"""


def close_quiet_traces() -> int:
    """Close running traces whose quiet time has passed, tell the pages, and return how many there were.

    One statement where there are none, which is nearly always, two where there are some.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_DUE, [AT_ONCE])
        due = cursor.fetchall()
        if not due:
            return 0
        cursor.execute(_CLOSE, {"traces": [trace for trace, _ in due], "days": list({day for _, day in due})})
        closed: dict[UUID, list[str]] = {}
        for project_id, trace_id in cursor.fetchall():
            closed.setdefault(project_id, []).append(trace_id.hex)
        for project, traces in closed.items():
            tell_pages(project, "stored", traces=traces[:50], sessions=[], steps=0)
    return sum(len(traces) for traces in closed.values())
