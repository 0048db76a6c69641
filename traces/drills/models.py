"""A drill: a failure that somebody is about to inject, noted before its first step is sent."""

from typing import Self
from uuid import UUID

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from agentops.accounts.models import Project
from agentops.accounts.scoped import ProjectScopedQuerySet
from agentops.audit.ref import Ref


class DrillQuerySet(ProjectScopedQuerySet["Drill"]):
    def seen_by(self, project: Project | UUID) -> Self:
        """Those of a project, and the scheduled ones, which measure the whole installation."""
        project_id = project.pk if isinstance(project, Project) else project
        return self.filter(Q(project=project_id) | Q(is_scheduled=True))


class Drill(models.Model):
    """What its trace raises is told on the loopback channel alone, and counted apart from what really failed."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, models.CASCADE, db_index=False)
    pattern = models.TextField()
    trace_id = models.UUIDField()  # of the wire; the trace itself comes later
    onset_at = models.DateTimeField()  # T0, as whoever injects says
    registered_at = models.DateTimeField(db_default=Now())
    is_scheduled = models.BooleanField(default=False, db_default=False)
    missed_at = models.DateTimeField(null=True)  # when people were told that nobody heard of it

    objects = DrillQuerySet.as_manager()

    class Meta:
        constraints = [
            # Also how a finding learns that its trace is a drill.
            models.UniqueConstraint(fields=["project", "trace_id"], name="drill_natural_key"),
        ]
        indexes = [
            # traces.alerts.drills.points: those of a project since a moment.
            models.Index(fields=["project", "-registered_at"], name="drill_by_project"),
            # The same for scheduled ones; which are due, which were missed.
            models.Index(fields=["-registered_at"], condition=Q(is_scheduled=True), name="drill_scheduled"),
        ]

    def __str__(self) -> str:
        return f"drill of {self.pattern}"

    @property
    def audit_ref(self) -> Ref:
        return Ref("drill", str(self.pk), str(self))
