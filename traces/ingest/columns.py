"""The columns of the span table as COPY writes them: name, Postgres type, and how a merge treats each."""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any, NamedTuple

import msgspec
from django.db import connection
from psycopg.types.string import BytesBinaryDumper

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
    Column("started_at", "timestamptz", "started"),
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
_SAID = slice(1, 1 + len(SAID))  # of a record's values; the first is its trace
_TEXTS = slice(1, len(SAID))  # all but the attributes
COLUMNS = (*PLACED, *SAID)
NAMES = ", ".join(column.name for column in COLUMNS)
# What COPY is sent as bytes, since psycopg packs it in Python: a UUID's sixteen, and jsonb's version before its text.
PACKED = {"uuid": "bytea", "jsonb": "bytea"}
TYPES = [PACKED.get(column.type, column.type) for column in COLUMNS]
JSONB_VERSION = b"\x01"
KEY = [column.name for column in COLUMNS if column.merge == "key"]


class Placed(NamedTuple):
    """Where a record's row goes: what the upsert of its trace returned, and its place in the order of arrival."""

    project_id: bytes
    trace_day: date
    trace_ref_id: bytes
    received_at: datetime
    arrival: int
    revised: bool = False
    toolset_id: bytes | None = None


def row(span: SpanRecord, place: Placed) -> tuple[Any, ...]:
    """Return the values of a new row, in the order of COLUMNS."""
    said = msgspec.structs.astuple(span)
    if span.attributes is None:
        return place + said[_SAID]
    return (*place, *said[_TEXTS], JSONB_VERSION + msgspec.json.encode(span.attributes))


def copy_rows(table: str, values: Iterable[tuple[Any, ...]]) -> None:
    """Write rows in the order of COLUMNS by binary COPY. Raises django.db.IntegrityError for a key that is there."""
    statement = f"COPY {table} ({NAMES}) FROM STDIN (FORMAT BINARY)"
    with connection.wrap_database_errors, connection.cursor() as cursor:
        cursor.adapters.register_dumper(bytes, BytesBinaryDumper)  # for bytea, where it is one in Python by default
        with cursor.copy(statement) as copy:
            copy.set_types(TYPES)
            for value in values:
                copy.write_row(value)
