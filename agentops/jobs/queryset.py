"""Sets of job rows: what is due, the claim that decides who runs a row, and the touch that asks for a run."""

from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Self, TypeVar
from uuid import UUID, uuid4

import msgspec
from django.db import connection, models, transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from psycopg import sql
from uuid_utils.compat import uuid7

if TYPE_CHECKING:
    from agentops.jobs.models import Job

J = TypeVar("J", bound="Job")

LEASE = timedelta(seconds=10)
DIED = "The process died, or lost its lease, in each of {attempts} attempts."

# One parameter for all rows: to quote each value costs several times as much.
_TOUCH = sql.SQL(
    "INSERT INTO {table} AS job (id, due_at, {columns})"
    " SELECT id, statement_timestamp() + make_interval(secs => %s), {columns}"
    " FROM json_to_recordset(%s::json) AS sent (id uuid, {types})"
    " ON CONFLICT ({key}) DO UPDATE SET {updates} RETURNING id"
)
# A row that failed and waits for its next attempt goes on waiting: news must not use its attempts up in one second.
_DUE = sql.SQL(
    "due_at = CASE WHEN job.attempts > 0 AND job.lease_id IS NULL THEN job.due_at"
    " ELSE LEAST(job.due_at, EXCLUDED.due_at) END"
)


class JobQuerySet(models.QuerySet[J]):
    def due(self, *, overdue_s: float = 0.0) -> Self:
        """Rows that wait for someone to run them, and have waited for at least `overdue_s` seconds."""
        return self.filter(
            Q(lease_until=None) | Q(lease_until__lt=Now()),
            due_at__lte=Now() - timedelta(seconds=overdue_s),
            quarantined_at=None,
        )

    def claim(self, *, limit: int = 1, ids: Collection[UUID] | None = None, overdue_s: float = 0.0) -> list[J]:
        """Lease up to `limit` due rows, the longest due first, and return them; nobody else gets them for 10 s.

        The attempt is counted here, so that a process that dies in the middle has used it up. A row that comes back
        with no attempt left is quarantined instead of returned. Commits before it returns; never blocks on a row that
        another process is looking at.
        """
        waiting = self.due(overdue_s=overdue_s)
        if ids is not None:
            waiting = waiting.filter(pk__in=ids)
        lease_id = uuid4()
        with transaction.atomic(durable=True):
            found = list(waiting.select_for_update(skip_locked=True).order_by("due_at")[:limit])
            claimed = [job for job in found if job.attempts < self.model.max_attempts]
            self.filter(pk__in=[job.pk for job in claimed]).update(
                lease_id=lease_id, lease_until=Now() + LEASE, attempts=F("attempts") + 1
            )
            for job in found:
                if job.attempts >= self.model.max_attempts:
                    job.quarantine(DIED.format(attempts=job.attempts))
        for job in claimed:
            job.lease_id = lease_id
            job.attempts += 1
        return claimed

    def renew(self, *, ids: Collection[UUID], lease_ids: Collection[UUID]) -> None:
        """Prolong leases that are still held. A row that is locked just now is left for the next time."""
        with transaction.atomic():
            held = self.filter(pk__in=ids, lease_id__in=lease_ids).select_for_update(skip_locked=True)
            self.filter(pk__in=list(held.values_list("pk", flat=True))).update(lease_until=Now() + LEASE)

    def touch(self, jobs: Iterable[J], *, delay_s: float = 0.0) -> list[UUID]:
        """Make sure that each job runs once more from now on, and return the ids of the rows.

        One statement for all of them, inside the caller's transaction: a row is inserted, or where its natural key
        exists its revision is raised, which makes a run that is under way be followed by another. What the row
        carries beside its key is replaced by the newest. Rows are locked in the order of their keys, so that two
        transactions that touch the same ones cannot deadlock. A quarantined row stays quarantined.
        """
        columns = {str(field.column): field.attname for field in self.model.own_fields()}
        rows = ({column: getattr(job, name) for column, name in columns.items()} | {"id": job.pk} for job in jobs)
        return self.touch_rows(rows, delay_s=delay_s)

    def touch_rows(self, rows: Iterable[Mapping[str, Any]], *, delay_s: float = 0.0) -> list[UUID]:
        """Do the same for jobs that are given as values of their own columns: to make a model's row costs 30 us."""
        key = [str(field.column) for field in self._key_fields()]
        keyed = {tuple(str(row[name]) for name in key): {"id": uuid7(), **row} for row in rows}
        if not keyed:
            return []
        sent = [row for _, row in sorted(keyed.items(), key=itemgetter(0))]
        with connection.cursor() as cursor:
            cursor.execute(_touch_statement(self.model), [delay_s, msgspec.json.encode(sent).decode()])
            return [row[0] for row in cursor.fetchall()]

    def release(self) -> int:
        """Give quarantined rows of this set all their attempts again, due now; return how many there were."""
        return self.exclude(quarantined_at=None).update(quarantined_at=None, attempts=0, due_at=Now())

    def _key_fields(self) -> "list[models.Field[Any, Any]]":
        fields = {field.name: field for field in self.model.own_fields()}
        return [fields[name] for name in self.model.natural_key]


@lru_cache
def _touch_statement(model: "type[Job]") -> str:
    fields = model.own_fields()
    newest = [
        sql.SQL("{0} = EXCLUDED.{0}").format(sql.Identifier(str(field.column)))
        for field in fields
        if field.name not in model.natural_key
    ]
    types = [sql.SQL(f"{{}} {field.db_type(connection)}").format(sql.Identifier(str(field.column))) for field in fields]
    return _TOUCH.format(
        table=sql.Identifier(model._meta.db_table),
        columns=_names(str(field.column) for field in fields),
        types=sql.SQL(", ").join(types),
        key=_names(str(field.column) for field in fields if field.name in model.natural_key),
        updates=sql.SQL(", ").join([sql.SQL("revision = job.revision + 1"), _DUE, *newest]),
    ).as_string()


def _names(columns: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join([sql.Identifier(column) for column in columns])
