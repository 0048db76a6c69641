"""The sessions and toolsets that a batch names; ids sorted, so that no two batches deadlock."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection
from psycopg.types.json import Jsonb
from uuid_utils.compat import uuid7

from traces.ingest.record import ToolsetRecord, TraceRecord
from traces.models import Toolset


def as_json(rows: Sequence[dict[str, Any]] | dict[str, Any]) -> str:
    """Return rows, or one, as the parameter of json_to_recordset; an array for each column costs twice as much."""
    return msgspec.json.encode(rows).decode()


_KNOWN_SESSIONS = 'SELECT session_id, id, "user" FROM traces_session WHERE project_id = %s AND session_id = ANY(%s)'
# The update makes the statement return the row also where another transaction has just made it. It touches no column of
# a key: the lock for that would wait for the foreign-key check of a batch that waits for this one.
_SESSIONS = """
INSERT INTO traces_session AS s (id, project_id, session_id, "user")
SELECT id, %(project)s, name, person
FROM json_to_recordset(%(sessions)s::json) AS sent (id uuid, name text, person text) ORDER BY name
ON CONFLICT (project_id, session_id) DO UPDATE SET "user" = coalesce(nullif(s."user", ''), excluded."user")
RETURNING session_id, id
"""


def upsert_sessions(project_id: UUID, traces: Iterable[TraceRecord]) -> dict[str, UUID]:
    """Return the row ids of the sessions that the traces name.

    One statement, and one more where a session is new, or is the first time said whose it is.
    """
    users: dict[str, str] = {}
    for about in traces:
        if about.session_id:
            users[about.session_id] = users.get(about.session_id) or about.user
    if not users:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_KNOWN_SESSIONS, [project_id, list(users)])
        known = {name: key for name, key, user in cursor.fetchall() if user or not users[name]}
        new = [{"id": uuid7(), "name": name, "person": user} for name, user in users.items() if name not in known]
        if new:
            cursor.execute(_SESSIONS, {"project": project_id, "sessions": as_json(new)})
            known.update(cursor.fetchall())
        return known


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
