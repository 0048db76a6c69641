"""The rows a batch's spans hang on: sessions, traces, toolsets; ids sorted, so that no two batches deadlock."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from django.db import connection
from psycopg.types.json import Jsonb
from uuid_utils.compat import uuid7

from traces.ingest.record import Origin, SpanRecord, ToolsetRecord, TraceRecord
from traces.models import Toolset


class TraceRow(NamedTuple):
    """What the upsert returned: the row as it was before this batch's spans."""

    trace_id: UUID
    id: UUID
    trace_day: date
    last_received_at: datetime
    inserted: bool
    status: str
    arrivals: int
    steps: int
    shape: str
    shape_stride: int


def as_json(rows: Sequence[dict[str, Any]] | dict[str, Any]) -> str:
    """Return rows, or one, as the parameter of json_to_recordset; an array for each column costs twice as much."""
    return msgspec.json.encode(rows).decode()


# One whose first step named nobody is written again when somebody is named. The update makes the statement return the
# row also where another transaction has just made it. It touches no column of a key: the lock for that would wait for
# the foreign-key check of a batch that waits for this one.
_SESSIONS = """
WITH sent AS (
    SELECT * FROM json_to_recordset(%(sessions)s::json) AS v (id uuid, name text, person text)
), known AS (
    SELECT s.session_id, s.id FROM traces_session s JOIN sent ON s.session_id = sent.name
    WHERE s.project_id = %(project)s AND (s."user" <> '' OR sent.person = '')
), made AS (
    INSERT INTO traces_session AS s (id, project_id, session_id, "user")
    SELECT id, %(project)s, name, person FROM sent WHERE name NOT IN (SELECT session_id FROM known) ORDER BY name
    ON CONFLICT (project_id, session_id) DO UPDATE SET "user" = coalesce(nullif(s."user", ''), excluded."user")
    RETURNING session_id, id
)
SELECT * FROM known UNION ALL SELECT * FROM made
"""


def upsert_sessions(project_id: UUID, traces: Iterable[TraceRecord]) -> dict[str, UUID]:
    """Return the row ids of the sessions that the traces name. One statement; it writes those that are new."""
    users: dict[str, str] = {}
    for about in traces:
        if about.session_id:
            users[about.session_id] = users.get(about.session_id) or about.user
    if not users:
        return {}
    sent = as_json([{"id": uuid7(), "name": name, "person": user} for name, user in users.items()])
    with connection.cursor() as cursor:
        cursor.execute(_SESSIONS, {"project": project_id, "sessions": sent})
        return dict(cursor.fetchall())


MAX_TOOLS = 100  # different tool names kept on a trace's row
# A running trace is closed after so many seconds without a step, and after so many when its root has ended: what comes
# late has come by then. Silence is told in steps of ten seconds, so that most batches leave `closes_at` as it is: a row
# of which no indexed column changes needs no new entry in any of its nine indexes. For the same reason a new row is
# written with the values that its sums will give it.
QUIET_S, AFTER_ROOT_S, STEP_S = 600, 30, 10
CLOSING = {"quiet_s": QUIET_S + STEP_S, "after_root_s": AFTER_ROOT_S, "step_s": STEP_S}
# An empty text says nothing: what is stored stays, what is missing is filled. The name of a key stands in for an
# agent's until a batch says one: the first may hold no more than what a person said. The conflict branch always
# updates, so that the row is locked until commit and batches of one trace follow each other.
_TRACES = """
INSERT INTO traces_trace AS t (id, project_id, trace_id, external_trace_id, trace_day, session_id, name, preview, agent,
                               "user", environment, release, source, backfill, received_at, last_received_at,
                               tool_names, status, closed_at, closes_at)
SELECT id, %(project)s, trace_id, external_id, (now() AT TIME ZONE 'UTC')::date, session, name, preview, agent,
       person, environment, release, %(source)s, %(backfill)s, now(), now(),
       tools, coalesce(nullif(status, ''), 'running'), CASE WHEN status IN ('ok', 'error') THEN now() END,
       CASE WHEN status IN ('ok', 'error') THEN NULL
            WHEN root_ended_at IS NOT NULL THEN now() + make_interval(secs => %(after_root_s)s)
            ELSE date_bin(make_interval(secs => %(step_s)s), now(), 'epoch') + make_interval(secs => %(quiet_s)s) END
FROM json_to_recordset(%(traces)s::json)
     AS s (id uuid, trace_id uuid, external_id text, session uuid, name text, preview text, agent text, person text,
           environment text, release text, tools text[], status text, root_ended_at timestamptz)
ORDER BY trace_id
ON CONFLICT (project_id, trace_id) DO UPDATE SET
    external_trace_id = coalesce(t.external_trace_id, excluded.external_trace_id),
    session_id = coalesce(t.session_id, excluded.session_id),
    name = coalesce(nullif(t.name, ''), excluded.name),
    preview = coalesce(nullif(t.preview, ''), excluded.preview),
    agent = CASE WHEN t.agent = '' OR t.agent = %(stand_in)s AND excluded.agent <> t.agent AND NOT EXISTS (
            SELECT FROM traces_span p WHERE p.project_id = t.project_id AND p.trace_day = t.trace_day
                AND p.trace_ref_id = t.id AND p.agent = t.agent AND p.event_type IS DISTINCT FROM 'human_gate')
        THEN excluded.agent ELSE t.agent END,
    "user" = coalesce(nullif(t."user", ''), excluded."user"),
    environment = coalesce(nullif(t.environment, ''), excluded.environment),
    release = coalesce(nullif(t.release, ''), excluded.release),
    last_received_at = now()
RETURNING trace_id, id, trace_day, last_received_at, xmax = 0, status, arrivals, steps, shape, shape_stride
"""


def upsert_traces(
    project_id: UUID,
    traces: Sequence[TraceRecord],
    spans: Iterable[SpanRecord],
    sessions: dict[str, UUID],
    origin: Origin,
) -> dict[UUID, TraceRow]:
    """Make or fill the trace rows, lock them, and return them by the sender's id. One statement."""
    if not traces:
        return {}
    tools = _tools(spans)
    rows = [
        {
            "id": uuid7(),
            "trace_id": about.trace,
            "external_id": about.external_id,
            "session": sessions.get(about.session_id),
            "name": about.name,
            "preview": about.preview,
            "agent": about.agent or about.service or origin.agent,
            "person": about.user,
            "environment": about.environment,
            "release": about.release,
            "tools": sorted(tools.get(about.trace, ()))[:MAX_TOOLS],
            "status": about.status,
            "root_ended_at": about.root_ended_at,
        }
        for about in traces
    ]
    sent: dict[str, Any] = {
        "project": project_id,
        "source": origin.source,
        "backfill": origin.backfill,
        "stand_in": origin.agent,
        "traces": as_json(rows),
        **CLOSING,
    }
    with connection.cursor() as cursor:
        cursor.execute(_TRACES, sent)
        return {found[0]: TraceRow(*found) for found in cursor.fetchall()}


def _tools(spans: Iterable[SpanRecord]) -> dict[UUID, set[str]]:
    """Return the names of the tools that the spans of each trace call."""
    tools: dict[UUID, set[str]] = defaultdict(set)
    for span in spans:
        if span.tool_name:
            tools[span.trace].add(span.tool_name)
    return tools


_TOOLSETS = """
INSERT INTO traces_toolset AS t (id, project_id, sha256, tools)
SELECT id, %(project)s, sha256, tools FROM unnest(%(ids)s::uuid[], %(hashes)s::bytea[], %(tools)s::jsonb[])
    AS s (id, sha256, tools) ORDER BY sha256
ON CONFLICT (project_id, sha256) DO UPDATE SET tools = t.tools
RETURNING sha256, id
"""


# Toolsets that this process has seen committed; nothing ever deletes one while its project is there.
_seen: dict[tuple[UUID, bytes], UUID] = {}
MOST_SEEN = 10_000


def upsert_toolsets(project_id: UUID, toolsets: dict[bytes, ToolsetRecord]) -> dict[bytes, UUID]:
    """Return the row ids of the toolsets by their hash. No statement for those seen before, two when one is new."""
    known = {sha256: key for sha256 in toolsets if (key := _seen.get((project_id, sha256)))}  # other threads clear it
    if len(known) == len(toolsets):
        return known
    stored = Toolset.objects.of(project_id).filter(sha256__in=toolsets).values_list("sha256", "id")
    known = {bytes(sha256): found for sha256, found in stored}
    if len(_seen) > MOST_SEEN:
        _seen.clear()
    _seen.update({(project_id, sha256): key for sha256, key in known.items()})
    new = {sha256: toolset for sha256, toolset in toolsets.items() if sha256 not in known}
    if not new:
        return known
    sent: dict[str, Any] = {
        "project": project_id,
        "ids": [uuid7() for _ in new],
        "hashes": list(new),
        "tools": [Jsonb(toolset.tools) for toolset in new.values()],
    }
    with connection.cursor() as cursor:
        cursor.execute(_TOOLSETS, sent)
        return known | {bytes(sha256): found for sha256, found in cursor.fetchall()}
