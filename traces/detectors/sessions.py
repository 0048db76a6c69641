"""What the other runs of a session have used, for detectors that judge a whole session; one says it for all of them.

In plain SQL, as in stored.py.
"""

from collections.abc import Iterable
from decimal import Decimal

from django.db import connection

from traces.detectors.base import Detector, Hit, SessionSoFar
from traces.models import Trace

# By the index trace_list_by_session; the sums are on each trace's row.
_SO_FAR = """
SELECT count(*), coalesce(sum(steps), 0), coalesce(sum(input_tokens + output_tokens), 0), coalesce(sum(cost_usd), 0),
    coalesce(sum(extract(epoch FROM greatest(ended_at - started_at, interval '0'))), 0)
FROM traces_trace WHERE session_id = %s AND id <> %s
"""
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('detectors.session:' || %s, 0))"
_SAID = """
SELECT DISTINCT f.kind FROM traces_trace t
JOIN detectors_finding f ON f.project_id = t.project_id AND f.trace_id = t.id
WHERE t.session_id = %s AND t.id <> %s AND f.detector = %s AND f.shadow = %s AND f.state = 'open'
"""


def open_session(trace: Trace, detectors: Iterable[Detector]) -> None:
    """Hand what the other runs of its session have used to those that judge it. One query, none where nobody does."""
    judges = [one for one in detectors if one.judges_session()] if trace.session_id else []
    if not judges:
        return
    with connection.cursor() as cursor:
        cursor.execute(_SO_FAR, [trace.session_id, trace.pk])
        runs, steps, tokens, cost_usd, work_s = cursor.fetchone()
    so_far = SessionSoFar(runs, int(steps), int(tokens), float(Decimal(cost_usd)), float(work_s))
    for one in judges:
        one.session = so_far


def drop_said(trace: Trace, one: Detector, hits: dict[tuple[str, str], Hit]) -> None:
    """Take out what another run of the session says already. Two queries, none without a hit on a session.

    Looks at two runs of one session take turns here, so that only one of them says it.
    """
    if not any(hit.of_session for hit in hits.values()):
        return
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [str(trace.session_id)])
        cursor.execute(_SAID, [trace.session_id, trace.pk, one.key, one.is_shadow])
        said = {kind for (kind,) in cursor.fetchall()}
    for key in [key for key, hit in hits.items() if hit.of_session and hit.kind in said]:
        del hits[key]
