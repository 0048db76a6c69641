"""A run of the built-in agent as rows: what the model answered, what was called, what is to be undone, and its job.

The ways between statuses are enforced by triggers (migration 0002), from the tables in states.py.
"""

from datetime import timedelta
from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.urls import reverse
from uuid_utils.compat import uuid7

from agentops.accounts.models import Project, User
from agentops.accounts.scoped import ProjectScopedQuerySet
from agentops.audit.ref import Ref
from agentops.jobs.models import Job
from agentops.runtime.budget import Budget, Spent
from agentops.runtime.states import ENDED, CallStatus, RunStatus, UndoStatus


class RunQuerySet(ProjectScopedQuerySet["Run"]):
    def unended(self) -> Self:
        return self.exclude(status__in=[*ENDED, RunStatus.NEEDS_PERSON])


class Run(models.Model):
    """One execution of the built-in agent. Whoever claims its job raises `fence`; an older one changes nothing."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, models.CASCADE, db_index=False)
    key = models.TextField(null=True)  # noqa: DJ001 - the starter's own; null: none was given
    agent = models.TextField()
    scenario = models.TextField(default="", db_default="")
    input = models.TextField()
    trace_id = models.UUIDField(default=uuid7)  # of the wire
    session_id = models.TextField(default="", db_default="")
    started_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+", db_index=False)
    status = models.TextField(default="queued", db_default="queued")
    ends_as = models.TextField(default="", db_default="")  # while rolling back: failed or cancelled
    resumes_as = models.TextField(default="", db_default="")  # once the job that was given up is released
    reason = models.TextField(default="", db_default="")  # why it ended so, one sentence
    fence = models.BigIntegerField(default=0, db_default=0)
    turn = models.IntegerField(default=0, db_default=0)  # the last one that was journaled
    steps = models.IntegerField(default=0, db_default=0)  # of its trace; the next step's number is one more
    model_failures = models.IntegerField(default=0, db_default=0)  # in a row
    tokens = models.BigIntegerField(default=0, db_default=0)
    cost_usd = models.DecimalField(max_digits=18, decimal_places=9, default=0, db_default=0)
    unpriced = models.IntegerField(default=0, db_default=0)  # answers whose cost nobody knows
    max_steps = models.IntegerField(default=Budget().max_steps)
    max_tokens = models.BigIntegerField(default=Budget().max_tokens)
    max_cost_usd = models.DecimalField(max_digits=18, decimal_places=9, default=Budget().max_cost_usd)
    max_wall_s = models.FloatField(default=Budget().max_wall_s)
    waited = models.DurationField(default=timedelta(), db_default=timedelta())  # for people, not part of its time
    waiting_since = models.DateTimeField(null=True)
    cancel_requested_at = models.DateTimeField(null=True)
    cancel_reason = models.TextField(default="", db_default="")
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    objects = RunQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "key"], condition=~Q(key=None), name="run_once_a_key"),
            models.UniqueConstraint(fields=["project", "trace_id"], name="run_one_trace"),
            models.CheckConstraint(condition=Q(status__in=[str(one) for one in RunStatus]), name="run_status_known"),
            models.CheckConstraint(
                condition=~Q(status="rolling_back") | Q(ends_as__in=["failed", "cancelled"]),
                name="run_knows_its_end",
            ),
            models.CheckConstraint(
                condition=Q(status="waiting_approval") ^ Q(waiting_since=None), name="run_waits_since"
            ),
        ]
        indexes = [
            # The list of runs, newest first.
            models.Index(fields=["project", "-created_at", "-id"], name="run_list"),
            # tasks.stop_contained_runs.
            models.Index(
                fields=["trace_id"],
                condition=~Q(status__in=[*(str(one) for one in sorted(ENDED)), "needs_person"]),
                name="run_unended",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.agent} {self.status}"

    def get_absolute_url(self) -> str:
        return reverse("runs:run", args=[self.pk])

    @property
    def audit_ref(self) -> Ref:
        return Ref("run", str(self.pk), self.agent)

    @property
    def budget(self) -> Budget:
        return Budget(
            max_steps=self.max_steps,
            max_tokens=self.max_tokens,
            max_cost_usd=self.max_cost_usd,
            max_wall_s=self.max_wall_s,
        )

    def spent(self, worked_s: float) -> Spent:
        return Spent(steps=self.steps, tokens=self.tokens, cost_usd=self.cost_usd, wall_s=worked_s)


class ModelTurn(models.Model):
    """What the model answered in one turn: exactly one answer, ever, journaled before anything acts on it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    run = models.ForeignKey(Run, models.CASCADE, related_name="turns", db_index=False)
    turn = models.IntegerField()
    step_number = models.IntegerField()
    request_digest = models.BinaryField(max_length=32)
    content = models.JSONField()  # blocks, as the model sent them
    stop_reason = models.TextField()
    model = models.TextField()
    is_simulated = models.BooleanField()
    input_tokens = models.IntegerField()
    output_tokens = models.IntegerField()
    cached_tokens = models.IntegerField()
    cost_usd = models.DecimalField(max_digits=18, decimal_places=9, null=True)
    asked_at = models.DateTimeField()
    answered_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "turn"], name="turn_answered_once")]

    def __str__(self) -> str:
        return f"turn {self.turn}"


class ToolCallQuerySet(models.QuerySet["ToolCall"]):
    def in_order(self) -> Self:
        return self.order_by("turn", "ordinal")


class ToolCall(models.Model):
    """One logical call of a tool; with side effects it is an effect, shown with how it is undone."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    run = models.ForeignKey(Run, models.CASCADE, related_name="calls", db_index=False)
    turn = models.IntegerField()
    ordinal = models.IntegerField()
    tool_use_id = models.TextField()  # the model's
    key = models.TextField(unique=True)  # run, turn and ordinal: the same in every attempt
    tool = models.TextField()
    definition_hash = models.TextField(default="")
    arguments = models.JSONField()  # as the model gave them
    granted_arguments = models.JSONField(null=True)  # where a person edited them: what runs
    digest = models.BinaryField(max_length=32)  # of tool and arguments: equal calls have the same
    effect = models.TextField(default="")
    risk = models.TextField(default="")
    status = models.TextField()
    approval_id = models.UUIDField(null=True)
    asks = models.IntegerField(default=0)  # how often the gate was asked; a stale approval is asked for again
    attempt = models.IntegerField(default=0)
    result = models.JSONField(null=True)  # what the model is told
    step_number = models.IntegerField(null=True)
    gate_step_number = models.IntegerField(null=True)
    decided_at = models.DateTimeField()  # when the dispatcher looked at it
    asked_at = models.DateTimeField(null=True)  # the gate, the last time
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    objects = ToolCallQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "turn", "ordinal"], name="call_natural_key"),
            models.UniqueConstraint(fields=["run", "tool_use_id"], name="call_answers_one_use"),
            models.CheckConstraint(condition=Q(status__in=[str(one) for one in CallStatus]), name="call_status_known"),
            models.CheckConstraint(
                condition=~Q(status__in=["succeeded", "failed", "rejected", "denied", "invalid"])
                | Q(result__isnull=False),
                name="call_settled_with_result",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.tool} {self.status}"

    @property
    def runs_with(self) -> dict[str, object]:
        """The arguments that run: as approved, else as asked."""
        chosen: dict[str, object] = self.arguments if self.granted_arguments is None else self.granted_arguments
        return chosen

    @property
    def is_ok(self) -> bool:
        return self.status == CallStatus.SUCCEEDED


class ToolAttempt(models.Model):
    """One try of a call; committed before it is made."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    call = models.ForeignKey(ToolCall, models.CASCADE, related_name="attempts", db_index=False)
    n = models.IntegerField()
    fence = models.BigIntegerField()
    started_at = models.DateTimeField(db_default=Now())
    not_after = models.DateTimeField()  # it may not begin later, whoever slept meanwhile
    finished_at = models.DateTimeField(null=True)
    outcome = models.TextField(default="", db_default="")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["call", "n"], name="attempt_natural_key")]

    def __str__(self) -> str:
        return f"attempt {self.n}"


class LateResult(models.Model):
    """What a process learned that was no longer allowed to record it; whoever holds the run adopts it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    call = models.ForeignKey(ToolCall, models.CASCADE, related_name="late_results", db_index=False)
    n = models.IntegerField()
    outcome = models.TextField()
    result = models.JSONField(null=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["call", "n"], name="late_result_natural_key")]

    def __str__(self) -> str:
        return f"{self.outcome} of attempt {self.n}"


class Compensation(models.Model):
    """How a call is undone, committed before the call is made."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    run = models.ForeignKey(Run, models.CASCADE, related_name="compensations", db_index=False)
    call = models.OneToOneField(ToolCall, models.CASCADE)
    key = models.TextField(unique=True)  # the same in every attempt
    arguments = models.JSONField()
    remembered = models.JSONField()  # what the tool will need, such as the state before
    status = models.TextField(default="registered", db_default="registered")
    attempts = models.IntegerField(default=0, db_default=0)
    next_at = models.DateTimeField(db_default=Now())
    last_error = models.TextField(default="", db_default="")
    step_number = models.IntegerField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(status__in=[str(one) for one in UndoStatus]), name="undo_status_known")
        ]
        indexes = [
            # undo.remaining, for each move of a run that rolls back.
            models.Index(fields=["run"], name="compensation_of_run"),
        ]

    def __str__(self) -> str:
        return f"undo {self.key} {self.status}"


class RunJob(Job):
    """Advance a run until it waits for somebody or has ended."""

    kind: ClassVar[str] = "run"
    queue: ClassVar[str] = "run"
    natural_key: ClassVar[tuple[str, ...]] = ("run",)
    time_limit_s: ClassVar[float] = 240

    run = models.OneToOneField(Run, models.CASCADE)

    class Meta(Job.Meta):
        pass

    def __str__(self) -> str:
        return f"run {self.run_id}"
