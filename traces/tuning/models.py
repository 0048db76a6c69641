"""Every version of what a project set for a detector."""

from django.db import models
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from agentops.accounts.models import Project, User
from agentops.accounts.scoped import ProjectScopedManager
from traces.tuning import trials  # noqa: F401 - Django finds the models of that file here


class SettingsVersion(models.Model):
    """What was set for one detector from a moment on, by whom and why. The newest is in force; none is ever changed.

    What is in force stands in DetectorSettings too, where each look at a trace reads it.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, db_index=False)
    detector = models.TextField()
    number = models.PositiveIntegerField()  # from 1
    thresholds = models.JSONField(default=dict)  # those that are not the default
    enabled = models.BooleanField()
    shadow = models.BooleanField(default=False, db_default=False)
    candidate = models.JSONField(null=True)
    note = models.TextField(default="", db_default="")
    by = models.ForeignKey(User, models.PROTECT, related_name="+", db_index=False)
    at = models.DateTimeField(db_default=Now())

    objects = ProjectScopedManager()

    class Meta:
        # Also the history of a detector, and the number of its newest version.
        constraints = [
            models.UniqueConstraint(fields=["project", "detector", "number"], name="settings_version_natural_key")
        ]

    def __str__(self) -> str:
        return f"{self.detector}, version {self.number}"
