"""Figures about jobs and the processes that run them. One cheap query each, or one for each kind of job."""

from datetime import timedelta

from django.db.models import F, Max
from django.db.models.functions import Coalesce, Greatest, Now

from agentops.jobs.models import Job, Process
from agentops.jobs.registry import handled


def oldest_due_job_s() -> float:
    """For how long the longest waiting job has been due; 0 when nothing is due. One query for each kind."""
    waited = Now() - Greatest("due_at", Coalesce("lease_until", F("due_at")))
    ages = [
        model.objects.due().order_by("due_at").annotate(age=waited).values_list("age", flat=True).first()
        for model in handled().values()
    ]
    return max((age.total_seconds() for age in ages if age), default=0.0)


def late_jobs(late_s: float, *, at_most: int) -> dict[str, int]:
    """How many jobs of each kind have been due for longer, counted up to `at_most`. One query for each kind."""
    late = {kind: model.objects.due(overdue_s=late_s).values_list("pk") for kind, model in handled().items()}
    counts = {kind: len(rows[:at_most]) for kind, rows in late.items()}
    return {kind: count for kind, count in counts.items() if count}


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
