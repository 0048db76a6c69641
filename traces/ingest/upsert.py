"""The sessions and toolsets that a batch names; ids sorted, so that no two batches deadlock."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from django.db import connection
from psycopg.types.json import Jsonb
from uuid_utils.compat import uuid7

from traces.ingest.record import ToolsetRecord, TraceRecord


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


_KNOWN_TOOLSETS = """
SELECT sha256, id, encode(sha256(convert_to(sent, 'UTF8')), 'hex') FROM traces_toolset
WHERE project_id = %s AND sha256 = ANY(%s)
"""
# The text that comes first stays, as spans refer to it.
_TOOLSETS = """
INSERT INTO traces_toolset AS t (id, project_id, sha256, tools, sent)
SELECT id, %(project)s, sha256, tools, sent
FROM unnest(%(ids)s::uuid[], %(hashes)s::bytea[], %(tools)s::jsonb[], %(sent)s::text[])
    AS s (id, sha256, tools, sent) ORDER BY sha256
ON CONFLICT (project_id, sha256) DO UPDATE SET sent = coalesce(t.sent, excluded.sent)
RETURNING sha256, id, encode(sha256(convert_to(sent, 'UTF8')), 'hex')
"""


class StoredToolset(NamedTuple):
    """The row of a toolset, and the SHA-256 of the text that it was read from in hex; None while none was sent."""

    id: UUID
    sent_sha256: str | None


# Toolsets that this process has seen committed; nothing ever deletes one while its project is there.
_seen: dict[tuple[UUID, bytes], StoredToolset] = {}
MOST_SEEN = 10_000


def upsert_toolsets(project_id: UUID, toolsets: dict[bytes, ToolsetRecord]) -> dict[bytes, StoredToolset]:
    """Return the rows of the toolsets by their hash. No statement for those seen before, two when one is new."""
    seen = {sha256: _seen.get((project_id, sha256)) for sha256 in toolsets}  # other threads clear it
    known = {sha256: row for sha256, row in seen.items() if row and _is_whole(row, toolsets[sha256])}
    if len(known) == len(toolsets):
        return known
    with connection.cursor() as cursor:
        cursor.execute(_KNOWN_TOOLSETS, [project_id, list(toolsets)])
        known = dict(map(_stored, cursor.fetchall()))
    if len(_seen) > MOST_SEEN:
        _seen.clear()
    _seen.update({(project_id, sha256): row for sha256, row in known.items()})
    new = {key: one for key, one in toolsets.items() if key not in known or not _is_whole(known[key], one)}
    if not new:
        return known
    sent: dict[str, Any] = {
        "project": project_id,
        "ids": [uuid7() for _ in new],
        "hashes": list(new),
        "tools": [Jsonb(toolset.tools) for toolset in new.values()],
        "sent": [toolset.sent for toolset in new.values()],
    }
    with connection.cursor() as cursor:
        cursor.execute(_TOOLSETS, sent)
        return known | dict(map(_stored, cursor.fetchall()))


def _is_whole(row: StoredToolset, toolset: ToolsetRecord) -> bool:
    """Say whether nothing is to be added to a row."""
    return row.sent_sha256 is not None or toolset.sent is None


def _stored(found: Sequence[Any]) -> tuple[bytes, StoredToolset]:
    sha256, key, sent_sha256 = found
    return bytes(sha256), StoredToolset(key, sent_sha256)
