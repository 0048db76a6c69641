"""A job kind for tests, and the table in which its handler counts its runs."""

from django.db import models
from django.db.models.functions import Now

from agentops.jobs.models import Job


class ProbeJob(Job):
    kind = "probe"
    natural_key = ("name",)

    name = models.TextField()
    behaviour = models.TextField(default="")  # "", or what the handler does instead of ending well: see tasks.py

    class Meta(Job.Meta):
        constraints = [*Job.Meta.constraints, models.UniqueConstraint(fields=["name"], name="probe_one_row_each")]


class SlowProbeJob(Job):
    """Handled outside a transaction, so that it happens at least once."""

    kind = "slow_probe"
    natural_key = ("name",)

    name = models.TextField()

    class Meta(Job.Meta):
        constraints = [*Job.Meta.constraints, models.UniqueConstraint(fields=["name"], name="slow_probe_one_row_each")]


class ProbeRun(models.Model):
    name = models.TextField()
    revision = models.BigIntegerField()
    pid = models.IntegerField()
    asked_at = models.DateTimeField()
    at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.name} r{self.revision}"
