"""What people said of the alerts of each detector, and the detectors that were wrong so often that they can wait."""

from typing import Self

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from agentops.accounts.models import Project, User
from agentops.accounts.scoped import ProjectScopedQuerySet
from agentops.audit.ref import Ref


class DetectorVerdict(models.Model):
    """A person's verdict on one occurrence, once for each detector that had found it; it outlives the findings."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, models.CASCADE, db_index=False)
    alert = models.ForeignKey("alerts.Alert", models.CASCADE, related_name="+", db_index=False)
    occurrence = models.PositiveIntegerField()
    detector = models.TextField()
    is_true = models.BooleanField()
    at = models.DateTimeField(db_default=Now())

    objects = ProjectScopedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["alert", "occurrence", "detector"], name="detector_verdict_natural_key"),
        ]
        indexes = [
            # precision.precision_by_detector: those of a project since a moment.
            models.Index(fields=["project", "-at"], name="detector_verdict_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.detector}: {'true' if self.is_true else 'false alarm'}"


class DemotionQuerySet(ProjectScopedQuerySet["Demotion"]):
    def in_force(self) -> Self:
        return self.filter(lifted_at=None)


class Demotion(models.Model):
    """A detector was wrong too often: what it finds is of low severity until it is right again or a person lifts it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, models.CASCADE, db_index=False)
    detector = models.TextField()
    verdicts = models.PositiveIntegerField()  # when it was demoted
    right = models.PositiveIntegerField()  # of those
    demoted_at = models.DateTimeField(db_default=Now())
    lifted_at = models.DateTimeField(null=True)
    lifted_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+", db_index=False)  # null: recovered

    objects = DemotionQuerySet.as_manager()

    class Meta:
        constraints = [
            # Also which detectors of a project are demoted now.
            models.UniqueConstraint(
                fields=["project", "detector"], condition=Q(lifted_at=None), name="demotion_once_at_a_time"
            ),
            models.CheckConstraint(condition=Q(right__lte=F("verdicts")), name="demotion_right_of_verdicts"),
            models.CheckConstraint(
                condition=Q(lifted_by=None) | Q(lifted_at__isnull=False), name="demotion_lifted_by_once_lifted"
            ),
        ]
        indexes = [
            # When a person lifted it last: verdicts count from there. Which one was in force at a moment.
            models.Index(fields=["project", "detector", "-demoted_at"], name="demotion_by_detector"),
        ]

    def __str__(self) -> str:
        return f"{self.detector} was right in {self.right} of {self.verdicts} verdicts"

    @property
    def audit_ref(self) -> Ref:
        return Ref("detector", self.detector, self.detector)
