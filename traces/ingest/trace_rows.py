"""The rows of a batch's traces: locked and read before its spans are written, written once when all of it is known."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, get_args, get_type_hints
from uuid import UUID

import msgspec
from django.db import connection
from uuid_utils.compat import uuid7

from traces.ingest.record import Origin, TraceRecord


class RacedError(Exception):
    """Raised where another transaction has just made a trace that was new when this one began."""


class TraceRow(msgspec.Struct):
    """A trace's row as it was before a batch, or after it; the names are those of the columns (traces.models.Trace)."""

    trace_id: UUID
    id: UUID
    trace_day: date
    last_received_at: datetime  # of the batch: the moment at which its transaction began

    # What a batch may change.
    external_trace_id: str | None = None
    session_id: UUID | None = None
    name: str = ""
    preview: str = ""
    agent: str = ""
    user: str = ""
    environment: str = ""
    release: str = ""
    model: str = ""
    status: str = "running"
    closes_at: datetime | None = None
    closed_at: datetime | None = None
    root_ended_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    arrivals: int = 0
    spans: int = 0
    steps: int = 0
    errors: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost_usd: Decimal | None = None
    estimated_usd: Decimal = Decimal(0)
    priced: int = 0
    unpriced: int = 0
    tool_names: list[str] = []
    shape: str = ""
    shape_stride: int = 1

    is_new: bool = False  # no column


_SQL_TYPES: dict[Any, str] = {
    UUID: "uuid",
    date: "date",
    datetime: "timestamptz",
    str: "text",
    int: "bigint",
    Decimal: "numeric",
    list[str]: "text[]",
}
_COLUMNS = {
    name: next(_SQL_TYPES[kind] for kind in (hint, *get_args(hint)) if kind in _SQL_TYPES)
    for name, hint in get_type_hints(TraceRow).items()
    if name != "is_new"
}
_CHANGES = [name for name in _COLUMNS if name not in {"trace_id", "id", "trace_day", "last_received_at"}]
_NAMES = ", ".join(f'"{name}"' for name in _COLUMNS)
_TYPES = ", ".join(f'"{name}" {kind}' for name, kind in _COLUMNS.items())
_SET = ", ".join(f'"{name}" = excluded."{name}"' for name in ("last_received_at", *_CHANGES))

# In the order of their ids, so that no two batches deadlock; as an UPDATE would lock them, which foreign keys allow.
_LOCK = f"""
WITH known AS (
    SELECT * FROM traces_trace WHERE project_id = %(project)s AND trace_id = ANY(%(traces)s)
    ORDER BY trace_id FOR NO KEY UPDATE
)
SELECT sent.trace_id, known.id, coalesce(known.trace_day, (now() AT TIME ZONE 'UTC')::date), now(),
       {", ".join(f'known."{name}"' for name in _CHANGES)}
FROM unnest(%(traces)s::uuid[]) AS sent (trace_id) LEFT JOIN known USING (trace_id)
"""  # noqa: S608 - built from the names above alone
_WRITE = f"""
INSERT INTO traces_trace (project_id, source, backfill, received_at, {_NAMES})
SELECT %(project)s, %(source)s, %(backfill)s, last_received_at, {_NAMES}
FROM json_to_recordset(%(rows)s::json) AS sent ({_TYPES})
ORDER BY trace_id
ON CONFLICT (project_id, trace_id) DO UPDATE SET {_SET}
RETURNING id
"""  # noqa: S608 - built from the names above alone
_SPEAKING = """
SELECT id FROM traces_trace t WHERE id = ANY(%s) AND EXISTS (
    SELECT FROM traces_span s WHERE s.project_id = t.project_id AND s.trace_day = t.trace_day
        AND s.trace_day = ANY(%s) AND s.trace_ref_id = t.id
        AND s.agent = t.agent AND s.event_type IS DISTINCT FROM 'human_gate')
"""


def lock_traces(project_id: UUID, traces: Iterable[TraceRecord], origin: Origin) -> dict[UUID, TraceRow]:
    """Return the traces' rows by the sender's id; those that are there are locked until the transaction ends.

    One statement, and one more where a batch names an agent for a trace that went under the name of a key.
    """
    said = {about.trace: about.agent or about.service for about in traces}
    if not said:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, {"project": project_id, "traces": list(said)})
        rows = {found[0]: _row(*found) for found in cursor.fetchall()}
    named = [row for row in rows.values() if not row.is_new and row.agent == origin.agent]
    _forget_stand_ins([row for row in named if said[row.trace_id] not in {"", row.agent}])
    return rows


def _row(trace_id: UUID, key: UUID | None, day: date, now: datetime, *known: Any) -> TraceRow:
    if key is None:
        return TraceRow(trace_id, uuid7(), day, now, is_new=True)
    return TraceRow(trace_id, key, day, now, *known)


def _forget_stand_ins(rows: Sequence[TraceRow]) -> None:
    """Leave the agent open where no step has said its name: the key's stood in for it. The first batch of a trace may
    hold no more than what a person said."""
    if not rows:
        return
    with connection.cursor() as cursor:
        cursor.execute(_SPEAKING, [[row.id for row in rows], list({row.trace_day for row in rows})])
        said = {key for (key,) in cursor.fetchall()}
    for row in rows:
        if row.id not in said:
            row.agent = ""


def write_traces(project_id: UUID, rows: Sequence[TraceRow], origin: Origin) -> None:
    """Write the rows, each once, whether it is new or locked. One statement. Raises RacedError.

    A row of which no indexed column changes needs no new entry in any of its indexes, if its page has room.
    """
    if not rows:
        return
    sent: dict[str, Any] = {
        "project": project_id,
        "source": origin.source,
        "backfill": origin.backfill,
        "rows": msgspec.json.encode(rows).decode(),
    }
    with connection.cursor() as cursor:
        cursor.execute(_WRITE, sent)
        if {key for (key,) in cursor.fetchall()} != {row.id for row in rows}:
            raise RacedError
