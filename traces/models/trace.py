"""A trace, one run of an agent, and the session that it belongs to."""

from typing import Self

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models.functions import Now
from django.urls import reverse
from uuid_utils.compat import uuid7

from agentops.accounts.models import Project
from agentops.accounts.scoped import ProjectScopedQuerySet
from traces.costs import CostSums


class TraceStatus(models.TextChoices):
    RUNNING = "running"
    OK = "ok"
    ERROR = "error"


class Session(models.Model):
    """A conversation or job: one or more traces that share the sender's session id."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, db_index=False)
    session_id = models.TextField()
    user = models.TextField(default="", db_default="")
    received_at = models.DateTimeField(db_default=Now())

    objects = ProjectScopedQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "session_id"], name="session_natural_key")]
        # The session list, newest first.
        indexes = [models.Index(fields=["project", "-received_at", "-id"], name="session_list")]

    def __str__(self) -> str:
        return self.session_id

    def get_absolute_url(self) -> str:
        return reverse("traces:session", args=[self.id])


class TraceQuerySet(ProjectScopedQuerySet["Trace"]):
    def running(self) -> Self:
        return self.filter(status=TraceStatus.RUNNING)

    def quiet(self) -> Self:
        """Running traces whose time to close by silence has come."""
        return self.running().filter(closes_at__lte=Now())


class Trace(CostSums):
    """One run of an agent, with the sums that lists show, so that no list reads spans; see also CostSums."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, db_index=False)
    trace_id = models.UUIDField()  # the 128 bits of the wire; a string that is no hex id is mapped by SHA-256
    external_trace_id = models.TextField(null=True)  # noqa: DJ001 - null means the sender used a hex id
    trace_day = models.DateField()  # fixed at first receipt; the partition of its spans
    session = models.ForeignKey(Session, null=True, on_delete=models.SET_NULL, db_index=False)
    name = models.TextField(default="", db_default="")
    preview = models.TextField(default="", db_default="")  # the first words said in it
    agent = models.TextField(default="", db_default="")
    user = models.TextField(default="", db_default="")
    environment = models.TextField(default="", db_default="")
    release = models.TextField(default="", db_default="")
    model = models.TextField(default="", db_default="")  # the last one that answered
    source = models.TextField(default="native", db_default="native")  # the door and dialect it came by
    status = models.TextField(choices=TraceStatus, default=TraceStatus.RUNNING, db_default=TraceStatus.RUNNING)
    closes_at = models.DateTimeField(null=True)  # a running trace is closed then, unless steps arrive
    closed_at = models.DateTimeField(null=True)
    stopped_at = models.DateTimeField(null=True)
    root_ended_at = models.DateTimeField(null=True)  # of the span without a parent, where the sender has such
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    received_at = models.DateTimeField(db_default=Now())
    last_received_at = models.DateTimeField(db_default=Now())
    backfill = models.BooleanField(default=False, db_default=False)
    arrivals = models.IntegerField(default=0, db_default=0)  # the next span's place in the order of arrival
    spans = models.IntegerField(default=0, db_default=0)
    steps = models.IntegerField(default=0, db_default=0)
    errors = models.IntegerField(default=0, db_default=0)
    input_tokens = models.BigIntegerField(default=0, db_default=0)
    output_tokens = models.BigIntegerField(default=0, db_default=0)
    cached_tokens = models.BigIntegerField(default=0, db_default=0)
    tool_names = ArrayField(models.TextField(), default=list, db_default=[])
    shape = models.TextField(default="", db_default="")  # the run barcode, see ingest/shape.py
    shape_stride = models.IntegerField(default=1, db_default=1)  # steps a bar stands for

    objects = TraceQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "trace_id"], name="trace_natural_key"),
            models.CheckConstraint(condition=models.Q(status__in=TraceStatus.values), name="trace_status_known"),
        ]
        indexes = [
            # The trace list, newest first, and the same filtered by agent, status and session.
            models.Index(fields=["project", "-received_at", "-id"], name="trace_list"),
            models.Index(fields=["project", "agent", "-received_at", "-id"], name="trace_list_by_agent"),
            models.Index(fields=["project", "status", "-received_at", "-id"], name="trace_list_by_status"),
            models.Index(fields=["session", "-received_at", "-id"], name="trace_list_by_session"),
            # The trace list filtered by a tool.
            GinIndex(fields=["tool_names"], name="trace_list_by_tool"),
            # The clock that closes quiet traces.
            models.Index(fields=["closes_at"], name="trace_closing", condition=models.Q(status="running")),
            # Retention and the partition a trace lives in.
            models.Index(fields=["trace_day"], name="trace_by_day"),
        ]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("traces:trace", args=[self.id_hex])

    @property
    def id_hex(self) -> str:
        return self.trace_id.hex

    @property
    def title(self) -> str:
        """The name a person gave, else the first words, else the sender's id."""
        return self.name or self.preview or self.external_trace_id or self.id_hex

    @property
    def is_over(self) -> bool:
        """Say whether its sender said that it ended; one that was closed by silence may go on."""
        return self.status != TraceStatus.RUNNING and (self.closes_at is None or self.root_ended_at is not None)

    @property
    def may_be_stopped(self) -> bool:
        """Say whether there is a run to stop: live, not over, not stopped before."""
        return not (self.backfill or self.is_over or self.stopped_at)

    @property
    def duration_s(self) -> float | None:
        if self.started_at is None or self.ended_at is None:
            return None
        return max((self.ended_at - self.started_at).total_seconds(), 0.0)
