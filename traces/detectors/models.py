"""What detectors found, what they remember of a trace, what a project set, and one alert job a finding."""

from typing import ClassVar, Self

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from agentops.accounts.models import Project
from agentops.accounts.scoped import ProjectScopedQuerySet
from agentops.jobs.models import Job
from traces.detectors.base import Severity
from traces.models import Trace

# Traces are removed by the day, in SQL: what hangs on one goes with it by a constraint of the database's own
# (migration 0002), for which Django has no word yet; hence `db_constraint=False`.
SEVERITIES = [severity.value for severity in Severity]


class FindingState(models.TextChoices):
    OPEN = "open"
    RETRACTED = "retracted"  # late steps showed that it was none


class FindingQuerySet(ProjectScopedQuerySet["Finding"]):
    def open(self) -> Self:
        return self.filter(state=FindingState.OPEN)

    def out_of_shadow(self) -> Self:
        """Those that count: not of a detector, or of thresholds, on trial."""
        return self.filter(shadow=False)


class Finding(models.Model):
    """One failure that one detector recognised in one trace; it grows while the failure goes on."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, db_index=False)
    trace = models.ForeignKey(Trace, on_delete=models.CASCADE, db_index=False, db_constraint=False)
    detector = models.TextField()
    pattern = models.TextField()
    kind = models.TextField()
    severity = models.TextField()
    state = models.TextField(choices=FindingState, default=FindingState.OPEN)
    explanation = models.TextField()
    next_step = models.TextField(default="", db_default="")
    tool_name = models.TextField(default="", db_default="")
    onset_span_id = models.TextField()
    onset_number = models.IntegerField()
    last_span_id = models.TextField()
    last_number = models.IntegerField()
    evidence = ArrayField(models.TextField(), default=list)  # span ids, in step order
    onset_at = models.DateTimeField()  # T0: when the failure began, by the sender's clock
    received_at = models.DateTimeField()  # T2: when the step that gave it away reached us
    detected_at = models.DateTimeField(db_default=Now())  # T4
    backfill = models.BooleanField(default=False)
    shadow = models.BooleanField(default=False, db_default=False)  # on trial: shown, but opens nothing and tells nobody

    objects = FindingQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "trace", "detector", "kind", "onset_span_id"], name="finding_natural_key"
            ),
            models.CheckConstraint(condition=models.Q(severity__in=SEVERITIES), name="finding_severity_known"),
            models.CheckConstraint(condition=models.Q(state__in=FindingState.values), name="finding_state_known"),
        ]
        indexes = [
            # The findings of a project by pattern, newest first: lists, counts an hour.
            models.Index(fields=["project", "pattern", "-detected_at"], name="finding_by_pattern"),
            # The findings of a project, newest first by receipt.
            models.Index(fields=["project", "-received_at", "-id"], name="finding_list"),
            # The list of those in shadow.
            models.Index(
                fields=["project", "-received_at", "-id"], condition=models.Q(shadow=True), name="finding_in_shadow"
            ),
            # The findings of a trace, and of the traces on a page.
            models.Index(fields=["trace"], name="finding_by_trace"),
        ]

    def __str__(self) -> str:
        return f"{self.pattern}: {self.explanation}"


class DetectorState(models.Model):
    """How far the detectors have read one trace, and what each remembers of it."""

    trace = models.OneToOneField(Trace, primary_key=True, on_delete=models.CASCADE, db_constraint=False)
    arrivals = models.IntegerField(default=0)  # the first place in the order of arrival that was not read
    last_key = models.JSONField(null=True)  # where in step order the last step read stands
    toolsets = models.JSONField(default=dict)  # {agent: the id of the toolset in force for it}, see toolset.py
    states = models.BinaryField(default=b"")  # {detector: {"fingerprint", "state", "absent"}}, see stored.py
    coverage = models.JSONField(default=dict)  # {detector: [what could not be judged]}

    def __str__(self) -> str:
        return f"detectors of {self.trace_id}"


class DetectorSettings(models.Model):
    """What a project set for one detector: other thresholds than the built-in ones, off, or in shadow.

    In shadow its findings are kept and shown, and are told to nobody. A candidate is a set of thresholds that runs in
    shadow beside those in force.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, db_index=False)
    detector = models.TextField()
    thresholds = models.JSONField(default=dict)
    enabled = models.BooleanField(default=True)
    shadow = models.BooleanField(default=False, db_default=False)
    candidate = models.JSONField(null=True)  # thresholds; {} are the defaults, null is none

    objects = ProjectScopedQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "detector"], name="detector_settings_natural_key")]

    def __str__(self) -> str:
        return self.detector


class AlertJob(Job):
    """Bring one finding under its alert; touched again when the finding grows or is retracted."""

    kind: ClassVar[str] = "alert"
    queue: ClassVar[str] = "detect"
    natural_key: ClassVar[tuple[str, ...]] = ("finding",)

    finding = models.OneToOneField(Finding, on_delete=models.CASCADE, db_constraint=False)

    class Meta(Job.Meta):
        pass

    def __str__(self) -> str:
        return f"alert {self.finding_id}"
