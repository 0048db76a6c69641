"""Policies, the actions that agents want to make, people's approvals of them, and the jobs a decision causes."""

from datetime import timedelta
from typing import Any, ClassVar, Self
from uuid import UUID

import msgspec
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.urls import reverse
from uuid_utils.compat import uuid7

from agentops.accounts.models import ApiKey, Project, User
from agentops.accounts.scoped import ProjectScopedQuerySet
from agentops.audit.ref import Ref
from agentops.jobs.models import Job


class Tier(models.TextChoices):
    """What a tool may do without a person."""

    LOW = "low"  # runs
    MEDIUM = "medium"  # runs, and is recorded
    HIGH = "high"  # a person decides


class Mode(models.TextChoices):
    """Who decides on a HIGH action."""

    FOUR_EYES = "four_eyes", "Someone else decides"
    CONFIRM = "confirm", "The acting person confirms"
    DENY = "deny", "Nobody: it is always denied"


class Status(models.TextChoices):
    """Where an approval stands; the database refuses every other way from one to the next."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"  # at once, by policy; later only because the run was stopped
    REJECTED = "rejected"
    ANSWERED = "answered"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"


class ActionStatus(models.TextChoices):
    PROPOSED = "proposed"
    CLAIMED = "claimed"  # by an agent elsewhere
    EXECUTING = "executing"  # by the built-in agent
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"  # nobody can say whether it took effect


class PolicyQuerySet(ProjectScopedQuerySet["Policy"]):
    def kept(self) -> Self:
        return self.filter(deleted_at=None)


class Policy(models.Model):
    """What tools of a name may do; `tool_pattern` is a name or a shell-style pattern (`refund_*`)."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, models.CASCADE, db_index=False)
    name = models.CharField(max_length=120)
    tool_pattern = models.CharField(max_length=200)
    tier = models.TextField(choices=Tier)
    mode = models.TextField(choices=Mode, default=Mode.FOUR_EYES)
    decide_within_s = models.PositiveIntegerField(default=3_600)
    execute_within_s = models.PositiveIntegerField(default=3_600)
    result_within_s = models.PositiveIntegerField(default=600)
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(db_default=Now())
    edited_at = models.DateTimeField(db_default=Now())
    edited_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+", db_index=False)
    deleted_at = models.DateTimeField(null=True)

    objects = PolicyQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "policies"
        constraints = [
            # Also the list of a project's policies, read at each proposal.
            models.UniqueConstraint(
                fields=["project", "tool_pattern"], condition=Q(deleted_at=None), name="policy_once_a_pattern"
            ),
            models.CheckConstraint(condition=Q(tier__in=Tier.values, mode__in=Mode.values), name="policy_is_known"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def audit_ref(self) -> Ref:
        return Ref("policy", str(self.pk), f"{self.name} v{self.version}")


class Action(models.Model):
    """A tool call that an agent wants to make, with all that its page shows, so that nothing above has to be asked."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, models.CASCADE, db_index=False)
    tool_name = models.TextField()
    arguments = models.TextField()  # canonical JSON: what runs, after an edit too
    proposed_arguments = models.TextField(default="", db_default="")  # where a person edited them: what was asked
    agent = models.TextField(default="", db_default="")
    session_id = models.TextField(default="", db_default="")
    trace_id = models.UUIDField(null=True)  # of the wire; the trace may come later
    external_trace_id = models.TextField(null=True)  # noqa: DJ001 - null: the sender's id is the hex one, or none
    run_id = models.UUIDField(null=True)  # of the built-in agent
    call_id = models.TextField(null=True)  # noqa: DJ001 - the caller's natural key; null: none
    reason = models.TextField(default="", db_default="")  # a claim: written by the agent
    requester = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+", db_index=False)
    key = models.ForeignKey(ApiKey, models.SET_NULL, null=True, related_name="+", db_index=False)
    edited_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+", db_index=False)
    definition_hash = models.TextField(default="", db_default="")  # of the tool as it was when asked
    schema = models.JSONField(null=True)
    preview = models.JSONField(null=True)  # what the tool itself says it would do
    status = models.TextField(choices=ActionStatus, default=ActionStatus.PROPOSED, db_default=ActionStatus.PROPOSED)
    claim_key = models.TextField(default="", db_default="")
    claimed_at = models.DateTimeField(null=True)
    result_due_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    detail = models.TextField(default="", db_default="")  # what was said about the outcome

    objects = ProjectScopedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "call_id"], condition=~Q(call_id=None), name="action_once_a_call"
            ),
            models.CheckConstraint(condition=Q(status__in=ActionStatus.values), name="action_status_known"),
        ]
        indexes = [
            # tasks.note_missing_results.
            models.Index(fields=["result_due_at"], condition=Q(status="claimed"), name="action_result_due"),
            # The actions of a run.
            models.Index(fields=["run_id"], condition=~Q(run_id=None), name="action_by_run"),
            # stopping.deny_what_was_stopped.
            models.Index(fields=["project", "trace_id"], condition=~Q(trace_id=None), name="action_by_trace"),
            # The last approved action of the same tool, for the comparison.
            models.Index(fields=["project", "tool_name", "-id"], name="action_by_tool"),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def title(self) -> str:
        """What it would do, in the tool's words, else its name."""
        said = (self.preview or {}).get("title")
        return str(said) if said else self.tool_name

    @property
    def parsed_arguments(self) -> dict[str, Any]:
        return _parsed(self.arguments)

    @property
    def parsed_proposal(self) -> dict[str, Any]:
        """What the agent asked for, before a person edited it."""
        return _parsed(self.proposed_arguments or self.arguments)


class ApprovalQuerySet(ProjectScopedQuerySet["Approval"]):
    def waiting(self) -> Self:
        """Those that somebody may still decide."""
        return self.filter(status=Status.PENDING, expires_at__gt=Now())

    def decided(self) -> Self:
        """Those that needed a person and wait no longer, however that came."""
        return self.filter(tier=Tier.HIGH, decided_at__isnull=False)

    def overdue(self) -> Self:
        """Those that nobody decided in time, and those that were approved and not used in time."""
        unused = Q(status=Status.APPROVED, used_at=None, execute_by__lte=Now())
        return self.filter(Q(status=Status.PENDING, expires_at__lte=Now()) | unused)

    def unused(self) -> Self:
        """Those that may still be taken back: waiting, or approved with nothing begun."""
        return self.filter(status__in=[Status.PENDING, Status.APPROVED], used_at=None)

    def whole(self) -> Self:
        """With what a page or an answer shows of each, in the same query."""
        return self.select_related("action", "policy", "decided_by", "action__requester", "action__edited_by")


class Approval(models.Model):
    """People's decision on an action, bound to the digest of exactly that action."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, models.CASCADE, db_index=False)
    action = models.OneToOneField(Action, models.CASCADE)
    status = models.TextField(choices=Status)
    tier = models.TextField(choices=Tier)
    mode = models.TextField(choices=Mode)
    policy = models.ForeignKey(Policy, models.SET_NULL, null=True, db_index=False)
    policy_name = models.TextField(default="", db_default="")  # empty: no policy matched, so it is HIGH
    policy_version = models.PositiveIntegerField(default=0)
    digest = models.CharField(max_length=64)  # hex, see digest.py
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    execute_within_s = models.PositiveIntegerField()
    execute_by = models.DateTimeField(null=True)
    used_at = models.DateTimeField(null=True)  # claimed, or its execution began
    decided_at = models.DateTimeField(null=True)
    decided_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+", db_index=False)
    comment = models.TextField(default="", db_default="")
    callback_url = models.TextField(default="", db_default="")

    objects = ApprovalQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=Status.values, tier__in=Tier.values, mode__in=Mode.values),
                name="approval_is_known",
            ),
            models.CheckConstraint(
                condition=Q(status=Status.PENDING) ^ Q(decided_at__isnull=False), name="approval_has_its_time"
            ),
            models.CheckConstraint(
                condition=~Q(status=Status.APPROVED) | Q(execute_by__isnull=False), name="approval_execute_by"
            ),
        ]
        indexes = [
            # The queue, by deadline, and tasks.expire.
            models.Index(fields=["project", "expires_at"], condition=Q(status="pending"), name="approval_waiting"),
            models.Index(fields=["expires_at"], condition=Q(status="pending"), name="approval_expiring"),
            models.Index(fields=["execute_by"], condition=Q(status="approved", used_at=None), name="approval_unused"),
            # The lists, newest first, of all and of one status.
            models.Index(fields=["project", "-created_at", "-id"], name="approval_list"),
            models.Index(fields=["project", "status", "-created_at", "-id"], name="approval_list_by_status"),
            # The page of what was decided, newest first.
            models.Index(
                fields=["project", "-decided_at", "-id"],
                condition=Q(tier="high", decided_at__isnull=False),
                name="approval_decided",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.status} {self.action_id}"

    def get_absolute_url(self) -> str:
        return reverse("approvals:approval", args=[self.pk])

    @property
    def waited(self) -> timedelta | None:
        """How long it took until it was decided, or ended otherwise."""
        return max(self.decided_at - self.created_at, timedelta()) if self.decided_at else None

    @property
    def audit_ref(self) -> Ref:
        return Ref("approval", str(self.pk), self.action.title)


class _AfterDecision(Job):
    natural_key: ClassVar[tuple[str, ...]] = ("approval",)

    approval = models.OneToOneField(Approval, models.CASCADE)

    class Meta(Job.Meta):
        abstract = True


class ResumeJob(_AfterDecision):
    """A run of the built-in agent waits for this approval no longer."""

    kind: ClassVar[str] = "resume"
    queue: ClassVar[str] = "run"

    class Meta(_AfterDecision.Meta):
        pass


class CallbackJob(_AfterDecision):
    """An agent elsewhere wants to be told, at its address, what was decided."""

    kind: ClassVar[str] = "callback"
    queue: ClassVar[str] = "deliver"
    max_attempts: ClassVar[int] = 8
    backoff_s: ClassVar[tuple[float, ...]] = (5, 30, 120, 600, 3_600)

    class Meta(_AfterDecision.Meta):
        pass


def _parsed(text: str) -> dict[str, Any]:
    parsed: dict[str, Any] = msgspec.json.decode(text)
    return parsed


def approval_of_call(project_id: UUID, call_id: str) -> Approval | None:
    """Return the approval that was asked for under this natural key. One query."""
    return Approval.objects.of(project_id).whole().filter(action__call_id=call_id).first()
