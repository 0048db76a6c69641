"""The columns of the span table as COPY writes them: name, Postgres type, and how a merge treats each."""

from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from django.db import connection
from psycopg.types.json import Jsonb

from traces.ingest.record import SpanRecord


class Column(NamedTuple):
    name: str
    type: str
    merge: str = "fill"  # "key", "fill" (nulls only), "keep" (what is stored stays), or a way of its own, see merge.py


# Where a row goes and when it came, then what a record says of it, in the order of SpanRecord's fields.
PLACED = (
    Column("project_id", "uuid", "key"),
    Column("trace_day", "date", "key"),
    Column("trace_ref_id", "uuid", "key"),
    Column("received_at", "timestamptz", "keep"),
    Column("arrival", "int4", "keep"),
    Column("revised", "bool", "keep"),
    Column("toolset_id", "uuid"),
)
SAID = (
    Column("span_id", "text", "key"),
    Column("parent_span_id", "text"),
    Column("step_number", "int4"),
    Column("event_type", "text"),
    Column("name", "text"),
    Column("tool_name", "text"),
    Column("agent", "text"),
    Column("model", "text"),
    Column("provider", "text"),
    Column("approval_id", "text"),
    Column("decision", "text"),
    Column("started_at", "timestamptz", "started"),
    Column("ended_at", "timestamptz", "latest"),
    Column("is_error", "bool"),
    Column("repaired", "bool", "keep"),
    Column("synthetic_time", "bool", "keep"),
    Column("input_tokens", "int4"),
    Column("output_tokens", "int4"),
    Column("cached_tokens", "int4"),
    Column("cache_written_tokens", "int4"),
    Column("context_tokens", "int4"),
    Column("cost_usd", "numeric"),
    Column("estimated_usd", "numeric", "estimate"),
    Column("input_hash", "int8"),
    Column("output_hash", "int8"),
    Column("output_size", "int4"),
    Column("original_timestamp", "text", "keep"),
    Column("input_preview", "text", "keep"),
    Column("output_preview", "text", "keep"),
    Column("input", "text"),
    Column("output", "text"),
    Column("text", "text"),
    Column("thinking", "text"),
    Column("error", "text"),
    Column("call_id", "text"),
    Column("attributes", "jsonb", "join"),
)
COLUMNS = (*PLACED, *SAID)
NAMES = ", ".join(column.name for column in COLUMNS)
TYPES = [column.type for column in COLUMNS]
KEY = [column.name for column in COLUMNS if column.merge == "key"]


class Placed(NamedTuple):
    """Where a record's row goes: what the upsert of its trace returned, and its place in the order of arrival."""

    project_id: UUID
    trace_day: Any
    trace_ref_id: UUID
    received_at: Any
    arrival: int
    revised: bool = False
    toolset_id: UUID | None = None


def row(span: SpanRecord, place: Placed) -> tuple[Any, ...]:
    """Return the values of a new row, in the order of COLUMNS."""
    said = msgspec.structs.astuple(span)[-len(SAID) :]
    if span.attributes is None:
        return place + said
    return (*place, *said[:-1], Jsonb(span.attributes, dumps=msgspec.json.encode))


def copy_rows(table: str, values: list[tuple[Any, ...]]) -> None:
    """Write rows in the order of COLUMNS by binary COPY. Raises django.db.IntegrityError for a key that is there."""
    statement = f"COPY {table} ({NAMES}) FROM STDIN (FORMAT BINARY)"
    with connection.wrap_database_errors, connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.set_types(TYPES)
        for value in values:
            copy.write_row(value)
