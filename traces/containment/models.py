"""What a project lets stop a run by itself, and the runs that were stopped."""

from datetime import timedelta
from typing import Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from agentops.accounts.models import Project, User
from agentops.accounts.scoped import ProjectScopedQuerySet
from agentops.audit.ref import Ref
from traces.models import Trace


class StopRule(models.Model):
    """A pattern that stops the run it is found in, from a severity on; a pattern without a rule stops nothing."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, db_index=False)
    pattern = models.TextField()
    severity = models.TextField()  # the least that stops
    created_at = models.DateTimeField(db_default=Now())

    objects = ProjectScopedQuerySet.as_manager()

    class Meta:
        # Also the rules of a project, read when something is found in a trace.
        constraints = [models.UniqueConstraint(fields=["project", "pattern"], name="stop_rule_natural_key")]

    def __str__(self) -> str:
        return f"{self.pattern} from {self.severity} on"


class StopQuerySet(ProjectScopedQuerySet["Stop"]):
    def unsettled(self) -> Self:
        """Those of which something may still wait at the gate."""
        return self.filter(settled_at=None)


class Stop(models.Model):
    """That a run was stopped: by a person, or because a pattern was found in it that is set to stop.

    `trace.stopped_at` is set in the same transaction and is what everybody asks; this says why, and how fast.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, db_index=False)
    # Traces are removed by the day, in SQL: this goes with its trace by a constraint of the database's own.
    trace = models.OneToOneField(Trace, on_delete=models.CASCADE, db_constraint=False)
    stopped_at = models.DateTimeField(db_default=Now())
    by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+", db_index=False)  # null: by a rule
    reason = models.TextField(default="", db_default="")  # what a person wrote, or what was found
    # The failure that it ends; a person may stop a run in which nothing was found.
    pattern = models.TextField(default="", db_default="")
    finding_id = models.UUIDField(null=True)
    onset_at = models.DateTimeField(null=True)  # by the sender's clock
    received_at = models.DateTimeField(null=True)  # when the step that gave it away reached us
    settled_at = models.DateTimeField(null=True)  # nothing of it can wait at the gate any more

    objects = StopQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(onset_at=None, received_at=None, pattern="", finding_id=None)
                | ~Q(pattern="") & Q(onset_at__isnull=False, received_at__isnull=False, finding_id__isnull=False),
                name="stop_knows_its_failure_whole",
            ),
        ]
        indexes = [
            # The time to contain, of a stretch of time.
            models.Index(fields=["project", "-stopped_at"], name="stop_list"),
            # services.settle.
            models.Index(fields=["stopped_at"], condition=Q(settled_at=None), name="stop_unsettled"),
        ]

    def __str__(self) -> str:
        return self.why

    @property
    def why(self) -> str:
        """Why it was stopped, and by whom or what: "wrong customer (by Ada)"."""
        who = f"by {self.by}" if self.by else self.pattern
        return f"{self.reason.rstrip('.')} ({who})" if self.reason and who else self.reason or who

    @property
    def audit_ref(self) -> Ref:
        return Ref("trace", self.trace.id_hex, self.trace.title)

    @property
    def since_onset(self) -> timedelta | None:
        """Time to contain, from the onset of the failure; None where no failure was known."""
        return max(self.stopped_at - self.onset_at, timedelta()) if self.onset_at else None

    @property
    def since_receipt(self) -> timedelta | None:
        """The part of it that is ours."""
        return max(self.stopped_at - self.received_at, timedelta()) if self.received_at else None
