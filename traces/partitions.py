"""Day partitions of the span table: made ahead, dropped when their days have passed."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from psycopg import sql

AHEAD_DAYS = 7
LOCK = "traces.partitions"
# To make or drop a partition, Postgres locks the table whole, and while it waits for that, all who come later wait
# behind it: behind one long reader nothing would be stored. So we give up, and the clock comes again.
WAIT = "2s"
# Of a row of more than 2 kB, the longest bodies go out of line until so many bytes are left. Each that goes costs a row
# and an index entry of another table, a short one as much as a long one.
SLIM = "toast_tuple_target = 1024"
# Autovacuum visits a table that only grows, to mark its pages as seen by all. With checksums each such page goes into
# the write-ahead log whole, unless it came since the last checkpoint, so that spans are logged twice. Hardly anything
# reads by those marks. What updates and deletes leave behind, and old transaction ids, are vacuumed as ever.
LEFT_ALONE = "autovacuum_vacuum_insert_threshold = -1, toast.autovacuum_vacuum_insert_threshold = -1"

ENOUGH = 500  # committed rows tell what those to come are like
_WITHOUT_STATISTICS = """
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'traces_span'::regclass AND c.reltuples <= 0 AND pg_stat_get_mod_since_analyze(c.oid) > %s
ORDER BY c.relname DESC LIMIT 1
"""


def partition_name(day: date) -> str:
    return f"traces_span_{day:%Y%m%d}"


def ensure_partitions(today: date | None = None) -> list[date]:
    """Make the partitions of today and a week ahead where they are missing; return the days that were made.

    A day of which spans are already in the default partition stays there. One query when nothing is missing. Raises
    OperationalError when the table is in use for two seconds.
    """
    today = today or datetime.now(UTC).date()
    days = [today + timedelta(days=i) for i in range(AHEAD_DAYS + 1)]
    there = _existing()
    missing = [day for day in days if partition_name(day) not in there]
    return [day for day in missing if _make(day)]


def drop_partitions(before: date) -> list[str]:
    """Drop the partitions of the days before `before`; return their names. The default partition is kept.

    Raises OperationalError when the table is in use for two seconds.
    """
    old = sorted(name for name in _existing() if name < partition_name(before) and name != "traces_span_default")
    for name in old:
        with _briefly_locking() as cursor:
            cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(name)))
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM traces_span_default WHERE trace_day < %s", [before])
    return old


def analyze_new() -> str | None:
    """Take statistics of a partition that holds spans and has none, the newest; return its name. Cheap where none is.

    Autovacuum does it within a minute. Until then, as after each midnight, Postgres takes a day for a handful of spans,
    and reads all of them for what an index answers.
    """
    with connection.cursor() as cursor:
        cursor.execute(_WITHOUT_STATISTICS, [ENOUGH])
        found = cursor.fetchone()
        if found is None:
            return None
        cursor.execute(sql.SQL("ANALYZE (SKIP_LOCKED) {}").format(sql.Identifier(found[0])))
        return str(found[0])


def _existing() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'traces_span'::regclass")
        return {name for (name,) in cursor.fetchall()}


def _make(day: date) -> bool:
    with _briefly_locking() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [LOCK])
        cursor.execute("SELECT EXISTS (SELECT FROM traces_span_default WHERE trace_day = %s)", [day])
        if cursor.fetchone() == (True,):
            return False
        statement = sql.SQL(
            "CREATE TABLE IF NOT EXISTS {} PARTITION OF traces_span FOR VALUES FROM ({}) TO ({}) WITH ({}, {})"
        )
        bounds = sql.Literal(day.isoformat()), sql.Literal((day + timedelta(days=1)).isoformat())
        cursor.execute(
            statement.format(sql.Identifier(partition_name(day)), *bounds, sql.SQL(SLIM), sql.SQL(LEFT_ALONE))
        )
        return True


@contextmanager
def _briefly_locking() -> Iterator[CursorWrapper]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [WAIT])
        yield cursor
