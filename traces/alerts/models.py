"""Alerts, the occurrences that are over, and the one fate of each finding."""

from datetime import datetime, timedelta
from typing import ClassVar, Self

from django.db import models
from django.db.models import Exists, F, Q, Subquery
from django.db.models.functions import Now
from django.urls import reverse
from uuid_utils.compat import uuid7

from agentops.accounts.models import Project, User
from agentops.accounts.scoped import ProjectScopedQuerySet
from agentops.audit.ref import Ref
from traces.alerts import verdicts  # noqa: F401 - Django finds the models of that file here
from traces.alerts.silences import covering
from traces.detectors.models import SEVERITIES, Finding
from traces.drills.models import Drill
from traces.models import Trace

OBJECTIVE = timedelta(minutes=5)  # from the onset to the moment a person is told
RANK = {severity: rank for rank, severity in enumerate(SEVERITIES)}


class AlertState(models.TextChoices):
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class Verdict(models.TextChoices):
    TRUE_POSITIVE = "true_positive"
    FALSE_POSITIVE = "false_positive"
    RETRACTED = "retracted"  # by the detectors: late steps showed that nothing had failed


class Occurrence(models.Model):
    """One time that something failed: its time points, all of the database's clock but the onset, and how it ended."""

    onset_at = models.DateTimeField()  # T0, by the sender's clock
    received_at = models.DateTimeField()  # T2
    detected_at = models.DateTimeField()  # T4
    alerted_at = models.DateTimeField(db_default=Now())  # T5
    first_attempt_at = models.DateTimeField(null=True)  # T6
    delivered_at = models.DateTimeField(null=True)  # T7
    acknowledged_at = models.DateTimeField(null=True)  # T8
    resolved_at = models.DateTimeField(null=True)  # T9
    number = models.PositiveIntegerField(default=1, db_default=1)  # from the second on it is a regression
    severity = models.TextField()  # the highest of its findings
    findings = models.PositiveIntegerField(default=0, db_default=0)
    retracted = models.PositiveIntegerField(default=0, db_default=0)  # of the findings
    told_at = models.DateTimeField(null=True)  # when the first message was written; null while a silence holds
    told_key = models.TextField(default="", db_default="")  # of that message, in the outbox
    lapses = models.PositiveIntegerField(default=0, db_default=0)  # acknowledgements that ran out
    acknowledged_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+", db_index=False)
    resolved_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+", db_index=False)
    verdict = models.TextField(default="", db_default="")
    note = models.TextField(default="", db_default="")

    class Meta:
        abstract = True

    @property
    def is_regression(self) -> bool:
        return self.number > 1

    @property
    def onset_to_receipt(self) -> timedelta:
        """T2 - T0; the part that is the sender's, or the silence's that had to last."""
        return max(self.received_at - self.onset_at, timedelta())

    @property
    def is_late(self) -> bool:
        """Say whether what shows it reached us when the objective was over: nobody could be told in time."""
        return self.onset_to_receipt > OBJECTIVE

    @property
    def onset_to_told(self) -> timedelta | None:
        """T7 - T0; nothing is told before it began, whatever the sender's clock says."""
        return None if self.delivered_at is None else max(self.delivered_at - self.onset_at, timedelta())

    @property
    def receipt_to_told(self) -> timedelta | None:
        """T7 - T2."""
        return None if self.delivered_at is None else self.delivered_at - self.received_at


class AlertQuerySet(ProjectScopedQuerySet["Alert"]):
    def open(self) -> Self:
        return self.filter(state=AlertState.OPEN)

    def unresolved(self) -> Self:
        return self.exclude(state=AlertState.RESOLVED)

    def silenced(self) -> Self:
        return self.filter(Exists(covering()))

    def real(self) -> Self:
        """Those that no drill raised."""
        return self.filter(drill=None)

    def heard(self) -> Self:
        """Those that no silence covers now."""
        return self.exclude(Exists(covering()))

    def with_silence(self) -> Self:
        """Add until when silences cover each, None where none does."""
        until = covering().order_by("-until").values("until")
        return self.annotate(silenced_until=Subquery(until[:1]))

    def lapsed(self) -> Self:
        """Those that somebody had for as long as they said, and did not resolve."""
        return self.filter(state=AlertState.ACKNOWLEDGED, acknowledged_until__lte=Now())


class Alert(Occurrence):
    """All findings of one fingerprint. The columns of Occurrence are those of the one under way, or of the last."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, models.CASCADE, db_index=False)
    fingerprint = models.TextField()
    pattern = models.TextField()
    agent = models.TextField(default="", db_default="")
    tool_name = models.TextField(default="", db_default="")
    state = models.TextField(choices=AlertState, default=AlertState.OPEN, db_default=AlertState.OPEN)
    title = models.TextField()
    explanation = models.TextField()
    next_step = models.TextField(default="", db_default="")
    # Without a constraint: an alert outlives its traces, which are removed by their day.
    first_trace = models.ForeignKey(
        Trace, models.DO_NOTHING, null=True, related_name="+", db_constraint=False, db_index=False
    )
    last_trace = models.ForeignKey(
        Trace, models.DO_NOTHING, null=True, related_name="+", db_constraint=False, db_index=False
    )
    acknowledged_until = models.DateTimeField(null=True)  # then it is open again
    flapping_since = models.DateTimeField(null=True)  # it is resolved and fails again and again
    waits_since = models.DateTimeField(null=True)  # for the next digest, where nobody has to be told at once
    # What a drill raised goes with it: kept without it, it would look like something that really failed.
    drill = models.ForeignKey(Drill, models.CASCADE, null=True, related_name="alerts", db_index=False)

    silenced_until: datetime | None = None  # of rows that were read `with_silence`

    objects = AlertQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "fingerprint"], name="alert_natural_key"),
            models.CheckConstraint(condition=Q(severity__in=SEVERITIES), name="alert_severity_known"),
            models.CheckConstraint(
                condition=Q(state=AlertState.OPEN, acknowledged_at=None, acknowledged_until=None, resolved_at=None)
                | Q(
                    state=AlertState.ACKNOWLEDGED,
                    acknowledged_at__isnull=False,
                    acknowledged_until__isnull=False,
                    resolved_at=None,
                )
                | Q(state=AlertState.RESOLVED, resolved_at__isnull=False, acknowledged_until=None, waits_since=None),
                name="alert_state_has_its_times",
            ),
            models.CheckConstraint(
                condition=Q(state=AlertState.RESOLVED, verdict__in=Verdict.values)
                | ~Q(state=AlertState.RESOLVED) & Q(verdict=""),
                name="alert_verdict_once_resolved",
            ),
            models.CheckConstraint(condition=Q(retracted__lte=F("findings")), name="alert_retracts_what_it_has"),
        ]
        indexes = [
            # The list, newest first, whole and by state; the second also counts by state.
            models.Index(fields=["project", "-received_at", "-id"], name="alert_list"),
            models.Index(fields=["project", "state", "-received_at", "-id"], name="alert_list_by_state"),
            # telling.note_delivery and note_missed_deliveries: those that nobody is known to have been told of.
            models.Index(fields=["told_key"], condition=Q(delivered_at=None), name="alert_undelivered"),
            # calm.lapse_acknowledgements, settle_flapping and digest.send: what waits for its time.
            models.Index(fields=["acknowledged_until"], condition=Q(state="acknowledged"), name="alert_lapsing"),
            models.Index(fields=["flapping_since"], condition=Q(flapping_since__isnull=False), name="alert_flapping"),
            models.Index(fields=["project"], condition=Q(waits_since__isnull=False), name="alert_waiting"),
            # drills.points: what a drill raised.
            models.Index(fields=["drill"], condition=Q(drill__isnull=False), name="alert_of_drill"),
        ]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("alerts:alert", args=[self.pk])

    @property
    def is_open(self) -> bool:
        return self.state == AlertState.OPEN

    @property
    def audit_ref(self) -> Ref:
        return Ref("alert", str(self.pk), self.title)


class PastOccurrence(Occurrence):
    """An occurrence that was over when the same failed again; written once, by the regression."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, models.CASCADE, db_index=False)
    alert = models.ForeignKey(Alert, models.CASCADE, related_name="past", db_index=False)

    objects = ProjectScopedQuerySet.as_manager()

    class Meta:
        constraints = [
            # Also what an alert's page lists.
            models.UniqueConstraint(fields=["alert", "number"], name="past_occurrence_natural_key"),
        ]
        indexes = [
            # mttd.points: what failed since a moment.
            models.Index(fields=["project", "-received_at"], name="past_occurrence_by_time"),
            # As for alerts.
            models.Index(fields=["told_key"], condition=Q(delivered_at=None), name="past_undelivered"),
        ]

    def __str__(self) -> str:
        return f"{self.alert_id}, occurrence {self.number}"


OCCURRENCE_FIELDS = tuple(field.attname for field in Occurrence._meta.local_fields)


class Fate(models.TextChoices):
    ALERT = "alert"  # counted by its alert
    BACKFILL = "backfill"  # imported: shown, but nobody is told
    ALONE = "alone"  # of a kind that raises no alert by itself
    RETRACTED = "retracted"  # was none any more before anybody was told


class AlertFinding(models.Model):
    """What became of one finding, so that it is counted once, whoever looks at it how often."""

    finding = models.OneToOneField(Finding, models.CASCADE, primary_key=True, db_constraint=False, related_name="fate")
    fate = models.TextField(choices=Fate)
    alert = models.ForeignKey(Alert, models.CASCADE, null=True, db_index=False)
    occurrence = models.PositiveIntegerField(null=True)  # the number of the one it fell into
    is_retracted = models.BooleanField(default=False, db_default=False)  # as the alert has counted it

    objects: ClassVar[models.Manager[Self]]

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(fate=Fate.ALERT, alert__isnull=False, occurrence__isnull=False)
                | Q(fate__in=[Fate.BACKFILL, Fate.ALONE, Fate.RETRACTED], alert=None, occurrence=None),
                name="alert_finding_has_one_fate",
            ),
        ]
        indexes = [
            # The findings of an occurrence, newest first: a UUIDv7 is in the order of time.
            models.Index(fields=["alert", "occurrence", "-finding"], name="alert_finding_by_alert"),
        ]

    def __str__(self) -> str:
        return f"{self.finding_id}: {self.fate}"


def highest(first: str, second: str) -> str:
    """Return the graver of two severities."""
    return max(first, second, key=lambda severity: RANK[severity])


def is_graver(severity: str, than: str) -> bool:
    return RANK[severity] > RANK[than]
