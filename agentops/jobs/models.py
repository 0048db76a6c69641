"""Work as rows: the abstract job that rooms subclass, and the processes that were seen running."""

from datetime import timedelta
from os import getpid
from socket import gethostname
from typing import Any, ClassVar, Self

from django.apps import apps
from django.db import models, transaction
from django.db.models import Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from agentops.jobs.errors import LeaseLostError, storable
from agentops.jobs.queryset import JobQuerySet
from agentops.jobs.signals import quarantined

SEEN_EVERY = timedelta(seconds=5)


class Job(models.Model):
    """A piece of work that was committed with the fact that caused it, and stays until it is done.

    A room subclasses it with `kind`, `queue`, its own fields and a UniqueConstraint on `natural_key`; the constraint
    goes into a Meta that inherits Job.Meta. Whoever holds the lease may finish or fail the row, nobody else.
    """

    kind: ClassVar[str]
    queue: ClassVar[str] = "default"
    natural_key: ClassVar[tuple[str, ...]]
    max_attempts: ClassVar[int] = 5
    backoff_s: ClassVar[tuple[float, ...]] = (1, 4, 16, 64)
    time_limit_s: ClassVar[float] = 60  # a run that takes longer is taken for hung, and its process is ended

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    due_at = models.DateTimeField(db_default=Now())
    lease_until = models.DateTimeField(null=True)
    lease_id = models.UUIDField(null=True)
    attempts = models.PositiveSmallIntegerField(db_default=0)
    revision = models.BigIntegerField(db_default=0)
    last_error = models.TextField(db_default="")
    quarantined_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    objects: ClassVar[JobQuerySet[Self]] = JobQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        abstract = True
        indexes = [
            # JobQuerySet.due, ordered by due_at: every claim, and the age of the oldest job. Neither a claim nor a
            # renewal changes an indexed column, so that both stay in their page.
            models.Index(fields=["due_at"], condition=Q(quarantined_at=None), name="%(app_label)s_%(class)s_due"),
            # queries.quarantined_jobs: the few rows that wait for a person.
            models.Index(
                fields=["quarantined_at"], condition=~Q(quarantined_at=None), name="%(app_label)s_%(class)s_quar"
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(lease_id=None, lease_until=None) | ~Q(lease_id=None) & ~Q(lease_until=None),
                name="%(app_label)s_%(class)s_whole_lease",
            ),
            models.CheckConstraint(
                condition=Q(quarantined_at=None) | Q(lease_id=None), name="%(app_label)s_%(class)s_quarantine_unleased"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"

    @classmethod
    def kinds(cls) -> dict[str, type["Job"]]:
        """Every concrete job model of the installed apps, by kind."""
        return {model.kind: model for model in apps.get_models() if issubclass(model, Job)}

    @classmethod
    def own_fields(cls) -> list["models.Field[Any, Any]"]:
        """The columns that the room added: what the job is about."""
        shared = {field.name for field in Job._meta.get_fields()}
        return [field for field in cls._meta.concrete_fields if field.name not in shared]

    def finish(self, *, again_in: timedelta | None = None) -> bool:
        """Remove the row, or make it due again: at once when it was touched meanwhile, else after `again_in`.

        Return whether it is due at once. Raises LeaseLostError when someone else holds the row by now.
        """
        held = type(self).objects.filter(pk=self.pk, lease_id=self.lease_id)
        renewed = {"attempts": 0, "last_error": "", "lease_id": None, "lease_until": None}
        with transaction.atomic():
            untouched = held.filter(revision=self.revision)
            if again_in is None:
                done, _ = untouched.delete()
            else:
                done = untouched.update(due_at=Now() + again_in, **renewed)
            if done:
                return False
            # The row is locked by nobody between the two statements, which is harmless: a touch in between is seen
            # here, a claim would need the lease to have expired, and then this finds nothing.
            if held.update(due_at=Now(), **renewed):
                return True
        raise LeaseLostError(f"{self} was taken over before it was finished.")

    def fail(self, reason: str) -> None:
        """Give the row back after a failed attempt: due again after the backoff, or quarantined after the last one.

        Does nothing when someone else holds the row by now.
        """
        if self.attempts >= self.max_attempts:
            return self.quarantine(reason)
        wait_s = self.backoff_s[min(self.attempts, len(self.backoff_s)) - 1]
        type(self).objects.filter(pk=self.pk, lease_id=self.lease_id).update(
            due_at=Now() + timedelta(seconds=wait_s), last_error=storable(reason), lease_id=None, lease_until=None
        )
        return None

    def quarantine(self, reason: str) -> None:
        """Set the row aside until a person releases it, and announce it after commit."""
        kind, job_id = self.kind, self.pk
        changed = (
            type(self)
            .objects.filter(pk=job_id, lease_id=self.lease_id, quarantined_at=None)
            .update(quarantined_at=Now(), last_error=storable(reason), lease_id=None, lease_until=None)
        )
        if changed:
            transaction.on_commit(
                lambda: quarantined.send(type(self), kind=kind, job_id=job_id, reason=reason), robust=True
            )


class ProcessQuerySet(models.QuerySet["Process"]):
    def seen(self, kind: str) -> Self:
        """Those of a kind that run, as far as one can know: seen in three of the intervals in which they report."""
        return self.filter(kind=kind, seen_at__gt=Now() - 3 * SEEN_EVERY)

    def unseen(self, since: timedelta) -> Self:
        return self.filter(seen_at__lt=Now() - since)

    def report(self, kind: str) -> None:
        """Note that the calling process runs."""
        process = Process(kind=kind, host=gethostname(), pid=getpid(), seen_at=Now())
        key = ["kind", "host", "pid"]
        self.bulk_create([process], update_conflicts=True, unique_fields=key, update_fields=["seen_at"])

    def leave(self, kind: str) -> None:
        """Note that the calling process ends."""
        self.filter(kind=kind, host=gethostname(), pid=getpid()).delete()


class Process(models.Model):
    """A worker or sweeper that runs somewhere, as it last said itself."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.TextField()
    host = models.TextField()
    pid = models.PositiveIntegerField()
    started_at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField(db_default=Now())

    objects: ClassVar[ProcessQuerySet] = ProcessQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "host", "pid"], name="jobs_process_one_row_each")]

    def __str__(self) -> str:
        return f"{self.kind} {self.host}:{self.pid}"
