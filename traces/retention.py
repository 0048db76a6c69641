"""What is older than the project keeps: partitions of spans are dropped, rows of their traces removed."""

from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import connection, transaction

from traces.partitions import drop_partitions

AT_ONCE = 5_000  # rows removed by one statement, so that no lock is held for long

_REMOVE = {
    "traces_trace": "trace_day < %s",
    "threads_part": "received_at < %s",
    "traces_ingestbatch": "received_at < %s",
    "traces_gatefact": "created_at < %s",
    "traces_session": "received_at < %s AND NOT EXISTS (SELECT FROM traces_trace t WHERE t.session_id = r.id)",
}


def remove_old() -> None:
    """Remove traces received more than AGENTOPS_RETENTION_DAYS ago, whole, with their spans, sessions,
    ledger and what the gate decided."""
    first_kept = datetime.now(UTC).date() - timedelta(days=settings.ENV.agentops_retention_days)
    drop_partitions(before=first_kept)
    for table, condition in _REMOVE.items():
        while _remove_some(table, condition, first_kept.isoformat()):
            pass


def _remove_some(table: str, condition: str, first_kept: str) -> bool:
    if table == "traces_trace":
        _remove_jobs(first_kept)
    statement = f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} r WHERE {condition} LIMIT %s)"  # noqa: S608 - of _REMOVE
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, [first_kept, AT_ONCE])
        return bool(cursor.rowcount == AT_ONCE)


def _remove_jobs(first_kept: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM traces_detectjob j USING traces_trace t WHERE t.id = j.trace_id AND t.trace_day < %s",
            [first_kept],
        )
