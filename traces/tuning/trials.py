"""A backtest: what other thresholds would have found in the traces of the last thirty days; and its job."""

from datetime import timedelta
from typing import ClassVar, Self

from django.db import models
from django.db.models.functions import Now
from django.urls import reverse
from uuid_utils.compat import uuid7

from agentops.accounts.models import Project, User
from agentops.accounts.scoped import ProjectScopedQuerySet
from agentops.audit.ref import Ref
from agentops.jobs.models import Job
from traces.models import Trace


class BacktestState(models.TextChoices):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "succeeded"
    CANCELLED = "cancelled"
    FAILED = "failed"


UNDER_WAY = [BacktestState.QUEUED, BacktestState.RUNNING]


class BacktestQuerySet(ProjectScopedQuerySet["Backtest"]):
    def under_way(self) -> Self:
        return self.filter(state__in=UNDER_WAY)


class Backtest(models.Model):
    """One comparison of a candidate with what was in force when it was asked for; removed after a week."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, db_index=False)
    detector = models.TextField()
    thresholds = models.JSONField(default=dict)  # the candidate's
    against = models.JSONField(default=dict)  # those in force
    state = models.TextField(choices=BacktestState, default=BacktestState.QUEUED)
    by = models.ForeignKey(User, models.PROTECT, related_name="+", db_index=False)
    created_at = models.DateTimeField(db_default=Now())
    until = models.DateTimeField(null=True)  # the newest receipt that is looked at, once it has begun
    ended_at = models.DateTimeField(null=True)
    after = models.TextField(default="", db_default="")  # the cursor of the last trace that was examined
    there = models.PositiveIntegerField(default=0, db_default=0)  # traces of the thirty days
    total = models.PositiveIntegerField(default=0, db_default=0)  # of them, those to examine
    examined = models.PositiveIntegerField(default=0, db_default=0)
    skipped = models.PositiveIntegerField(default=0, db_default=0)  # of those examined: too long to be read again
    appeared = models.PositiveIntegerField(default=0, db_default=0)
    vanished = models.PositiveIntegerField(default=0, db_default=0)
    unchanged = models.PositiveIntegerField(default=0, db_default=0)
    error = models.TextField(default="", db_default="")

    objects = BacktestQuerySet.as_manager()

    class Meta:
        constraints = [
            # One at a time in a project.
            models.UniqueConstraint(
                fields=["project"], condition=models.Q(state__in=UNDER_WAY), name="backtest_one_at_a_time"
            ),
            models.CheckConstraint(condition=models.Q(state__in=BacktestState.values), name="backtest_state_known"),
        ]
        indexes = [
            # The last ones of a detector.
            models.Index(fields=["project", "detector", "-created_at"], name="backtest_by_detector")
        ]

    def __str__(self) -> str:
        return f"backtest of {self.detector}"

    def get_absolute_url(self) -> str:
        return reverse("detectors:backtest", args=[self.pk])

    @property
    def audit_ref(self) -> Ref:
        return Ref("backtest", str(self.pk), self.detector)

    @property
    def is_under_way(self) -> bool:
        return self.state in UNDER_WAY

    @property
    def share(self) -> float:
        """How much of it is done, 0 to 1."""
        return self.examined / self.total if self.total else 0.0


class Change(models.TextChoices):
    APPEARED = "appeared"
    VANISHED = "vanished"
    UNCHANGED = "unchanged"


class Difference(models.Model):
    """One finding that one of the two sets of thresholds gives, or both; the first hundred of each are kept."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    backtest = models.ForeignKey(Backtest, models.CASCADE, related_name="differences", db_index=False)
    trace = models.ForeignKey(Trace, models.CASCADE, related_name="+", db_constraint=False)
    change = models.TextField(choices=Change)
    kind = models.TextField()
    severity = models.TextField()
    explanation = models.TextField()
    onset_span_id = models.TextField()
    onset_number = models.IntegerField()

    class Meta:
        constraints = [
            # Also the list of a backtest.
            models.UniqueConstraint(
                fields=["backtest", "change", "trace", "kind", "onset_span_id"], name="backtest_difference_natural_key"
            )
        ]

    def __str__(self) -> str:
        return f"{self.change}: {self.explanation}"


class BacktestJob(Job):
    """Examine some more traces of one backtest."""

    kind: ClassVar[str] = "backtest"
    queue: ClassVar[str] = "backtest"
    natural_key: ClassVar[tuple[str, ...]] = ("backtest",)
    time_limit_s: ClassVar[float] = 120

    backtest = models.OneToOneField(Backtest, on_delete=models.CASCADE)

    class Meta(Job.Meta):
        pass

    def __str__(self) -> str:
        return f"backtest {self.backtest_id}"


KEPT = timedelta(days=7)
LONGEST = timedelta(hours=1)  # from its start to its end; then it has failed
