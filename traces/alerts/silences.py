"""Silences, what each held back, and which of them cover an alert; the models of this room that concern being quiet."""

from typing import TYPE_CHECKING, Any, ClassVar, Self

from django.db import models
from django.db.models import F, Func, OuterRef, Q, Value
from django.db.models.functions import Now, Replace
from django.urls import reverse
from uuid_utils.compat import uuid7

from agentops.accounts.models import Project, User
from agentops.accounts.scoped import ProjectScopedQuerySet
from agentops.audit.ref import Ref

if TYPE_CHECKING:
    from traces.alerts.models import Alert


class SilenceQuerySet(ProjectScopedQuerySet["Silence"]):
    def active(self) -> Self:
        return self.filter(until__gt=Now())

    def of_alert(self, alert: "Alert") -> Self:
        """Those that cover an alert now, the longest first."""
        about = (Value(getattr(alert, name)) for name in ABOUT)
        return self.active().filter(_covers(*about), project=alert.project_id).order_by("-until")


class Silence(models.Model):
    """Nothing is sent for a while about one alert, or about all of a pattern, of agents and of tools.

    Agent and tool are globs in which `*` stands for anything; an empty one stands for every one, also for none.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, models.CASCADE, db_index=False)
    alert = models.ForeignKey("alerts.Alert", models.CASCADE, null=True, related_name="silences")
    pattern = models.TextField(default="", db_default="")
    agent = models.TextField(default="", db_default="")
    tool_name = models.TextField(default="", db_default="")
    created_at = models.DateTimeField(db_default=Now())
    until = models.DateTimeField()
    by = models.ForeignKey(User, models.PROTECT, related_name="+", db_index=False)
    reason = models.TextField()
    ended_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+", db_index=False)  # before its time

    objects = SilenceQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(reason=""), name="silence_has_a_reason"),
            models.CheckConstraint(condition=Q(until__gte=F("created_at")), name="silence_ends"),
            models.CheckConstraint(
                condition=Q(alert__isnull=False, pattern="", agent="", tool_name="")
                | Q(alert=None) & ~Q(pattern="", agent="", tool_name=""),
                name="silence_is_about_something",
            ),
        ]
        indexes = [
            # The list, those under way first; which cover an alert now.
            models.Index(fields=["project", "-until", "-id"], name="silence_list"),
        ]

    def __str__(self) -> str:
        if self.alert is not None:
            return self.alert.title
        parts = {"pattern": self.pattern, "agent": self.agent, "tool": self.tool_name}
        return ", ".join(f"{name} {value}" for name, value in parts.items() if value)

    def get_absolute_url(self) -> str:
        return reverse("alerts:silence-page", args=[self.pk])

    @property
    def audit_ref(self) -> Ref:
        return Ref("silence", str(self.pk), str(self))


class HeldBack(models.Model):
    """A message that a silence held back; settled once it was told, or once there was nothing left to tell."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, models.CASCADE, db_index=False)
    silence = models.ForeignKey(Silence, models.CASCADE, related_name="held", db_index=False)
    alert = models.ForeignKey("alerts.Alert", models.CASCADE, related_name="held", db_index=False)
    occurrence = models.PositiveIntegerField()
    news = models.TextField()
    at = models.DateTimeField(db_default=Now())
    settled_at = models.DateTimeField(null=True)
    told_key = models.TextField(default="", db_default="")  # of the message that made up for it

    objects = ProjectScopedQuerySet.as_manager()

    class Meta:
        indexes = [
            # What a silence held back, newest first, and how much.
            models.Index(fields=["silence", "-id"], name="held_back_by_silence"),
            # What held an alert back, on its page; what is still to be settled.
            models.Index(fields=["alert", "-id"], name="held_back_by_alert"),
            models.Index(fields=["alert"], condition=Q(settled_at=None), name="held_back_pending"),
        ]

    def __str__(self) -> str:
        return f"{self.alert_id}: {self.news}"

    @property
    def words(self) -> str:
        return self.news.replace("_", " ")


class DigestTurn(models.Model):
    """When a project was last told of what can wait: once an hour at most."""

    project = models.OneToOneField(Project, models.CASCADE, primary_key=True)
    at = models.DateTimeField()

    objects: ClassVar[models.Manager[Self]]

    def __str__(self) -> str:
        return f"{self.project_id} at {self.at}"


ABOUT = ("pk", "pattern", "agent", "tool_name")


def covering() -> SilenceQuerySet:
    """Return the silences that cover the alert of the outer query now."""
    key, *about = map(OuterRef, ABOUT)
    return Silence.objects.active().filter(_covers(key, *about), project=OuterRef("project"))


def _covers(key: Any, pattern: Any, agent: Any, tool_name: Any) -> Q:
    is_wide = Q(alert=None) & (Q(pattern="") | Q(pattern=pattern))
    return Q(alert=key) | is_wide & _fits("agent", agent) & _fits("tool_name", tool_name)


def _fits(column: str, text: Any) -> Q:
    """Say that a text fits the glob of a column; an empty glob fits everything."""
    like: Any = F(column)
    for sign, instead in (("\\", "\\\\"), ("%", "\\%"), ("_", "\\_"), ("*", "%")):
        like = Replace(like, Value(sign), Value(instead))
    is_like = Func(text, like, arg_joiner=" LIKE ", template="%(expressions)s", output_field=models.BooleanField())
    return Q(**{column: ""}) | Q(is_like)
