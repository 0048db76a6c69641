"""Figures about jobs and the processes that run them. One cheap query each, or one for each kind of job."""

from collections.abc import Collection
from datetime import timedelta
from functools import lru_cache

from django.db import connection
from django.db.models import F, Max
from django.db.models.functions import Coalesce, Greatest, Now
from psycopg import sql

from agentops.jobs.models import Job, Process
from agentops.jobs.registry import handled

# As JobQuerySet.due says it, in the order of its index, or Postgres may read the whole table for a few rows. Written
# out, since it is asked several times a second for as long as nothing happens.
_LATE = sql.SQL(
    "SELECT {kind}, count(*) FROM (SELECT FROM {table} WHERE quarantined_at IS NULL"
    " AND due_at <= statement_timestamp() - make_interval(secs => %(late_s)s)"
    " AND (lease_until IS NULL OR lease_until < statement_timestamp()) ORDER BY due_at LIMIT %(at_most)s) AS late"
)


def oldest_due_job_s() -> float:
    """For how long the longest waiting job has been due; 0 when nothing is due. One query for each kind."""
    waited = Now() - Greatest("due_at", Coalesce("lease_until", F("due_at")))
    ages = [
        model.objects.due().order_by("due_at").annotate(age=waited).values_list("age", flat=True).first()
        for model in handled().values()
    ]
    return max((age.total_seconds() for age in ages if age), default=0.0)


def late_jobs(late_s: float, *, at_most: int, kinds: Collection[str] | None = None) -> dict[str, int]:
    """How many jobs of each kind have been due for longer, counted up to `at_most`. One query for all kinds."""
    asked = tuple(kind for kind in handled() if kinds is None or kind in kinds)
    if not asked:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_late_statement(asked), {"late_s": late_s, "at_most": at_most})
        return {kind: count for kind, count in cursor.fetchall() if count}


@lru_cache
def _late_statement(kinds: tuple[str, ...]) -> str:
    tables = {kind: sql.Identifier(handled()[kind]._meta.db_table) for kind in kinds}
    counts = [_LATE.format(kind=kind, table=table) for kind, table in tables.items()]
    return sql.SQL(" UNION ALL ").join(counts).as_string()


def quarantined_jobs() -> dict[str, int]:
    """How many jobs of each kind wait for a person. One query for each kind."""
    counts = {kind: model.objects.exclude(quarantined_at=None).count() for kind, model in Job.kinds().items()}
    return {kind: count for kind, count in counts.items() if count}


def worker_count() -> int:
    """How many worker processes were seen in the last 15 seconds."""
    return Process.objects.seen("worker").count()


def is_sweeper_there() -> bool:
    """Whether a sweeper was seen in the last 15 seconds."""
    return Process.objects.seen("sweeper").exists()


def sweeper_seen_s() -> float | None:
    """How long ago a sweeper was last seen; None when there has been none for an hour."""
    age: timedelta | None = Process.objects.filter(kind="sweeper").aggregate(age=Now() - Max("seen_at"))["age"]
    return age.total_seconds() if age is not None else None
