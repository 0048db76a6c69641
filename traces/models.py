"""What ingest stores: sessions, traces, spans, toolsets, the ledger of batches, and one detection job a trace."""

from typing import ClassVar, Self

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models.functions import Now
from django.urls import reverse
from uuid_utils.compat import uuid7

from agentops.accounts.models import Project
from agentops.accounts.scoped import ProjectScopedQuerySet
from agentops.jobs.models import Job
from traces.costs import Cost, CostSums


class EventType(models.TextChoices):
    """What makes a span a step."""

    TOOL_CALL = "tool_call"
    MODEL_RESPONSE = "model_response"
    ERROR = "error"
    HUMAN_GATE = "human_gate"


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


class Toolset(models.Model):
    """The tool schemas that were offered to a model, stored once; spans refer to it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, db_index=False)
    sha256 = models.BinaryField(max_length=32)
    tools = models.JSONField()  # [{"name", "schema", "risk"}], as sent
    created_at = models.DateTimeField(db_default=Now())

    objects = ProjectScopedQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "sha256"], name="toolset_natural_key")]

    def __str__(self) -> str:
        return f"{len(self.tools)} tools"


class Span(Cost):
    """One recorded unit of work; a step when `event_type` is set.

    The table is partitioned by `trace_day` and written by ingest/store.py alone (binary COPY). Its columns up to
    `output_preview` are slim and inline; the rest is out of line and never read to draw a list or a tree.
    """

    pk = models.CompositePrimaryKey("project", "trace_day", "trace_ref", "span_id")
    project = models.ForeignKey(Project, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    trace_day = models.DateField()
    trace_ref = models.ForeignKey(Trace, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    span_id = models.TextField()
    parent_span_id = models.TextField(null=True)  # noqa: DJ001
    step_number = models.IntegerField(null=True)  # the sender's; computed on reading where absent
    event_type = models.TextField(null=True)  # noqa: DJ001
    name = models.TextField(null=True)  # noqa: DJ001
    tool_name = models.TextField(null=True)  # noqa: DJ001
    agent = models.TextField(null=True)  # noqa: DJ001
    model = models.TextField(null=True)  # noqa: DJ001
    approval_id = models.TextField(null=True)  # noqa: DJ001
    decision = models.TextField(null=True)  # noqa: DJ001
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    received_at = models.DateTimeField()
    # The place in the order of commits within the trace, anew when a merge adds something; what comes later is greater.
    arrival = models.IntegerField()
    is_error = models.BooleanField(null=True)
    revised = models.BooleanField(default=False)  # sent again with something that contradicts what is stored
    repaired = models.BooleanField(default=False)
    synthetic_time = models.BooleanField(default=False)  # the source has no clock; rules on time are off
    input_tokens = models.IntegerField(null=True)
    output_tokens = models.IntegerField(null=True)
    cached_tokens = models.IntegerField(null=True)
    context_tokens = models.IntegerField(null=True)
    input_hash = models.BigIntegerField(null=True)  # of the canonical JSON; equal arguments, equal hash
    output_hash = models.BigIntegerField(null=True)
    output_size = models.IntegerField(null=True)  # characters
    toolset = models.ForeignKey(Toolset, null=True, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    original_timestamp = models.TextField(null=True)  # noqa: DJ001 - what was sent, where it was absurd
    input_preview = models.TextField(null=True)  # noqa: DJ001
    output_preview = models.TextField(null=True)  # noqa: DJ001
    input = models.TextField(null=True)  # noqa: DJ001 - JSON text
    output = models.TextField(null=True)  # noqa: DJ001 - JSON text
    text = models.TextField(null=True)  # noqa: DJ001
    thinking = models.TextField(null=True)  # noqa: DJ001
    error = models.TextField(null=True)  # noqa: DJ001
    attributes = models.JSONField(null=True)
    call_id = models.TextField(null=True)  # noqa: DJ001 - what the same call is found by in other spans

    objects = ProjectScopedQuerySet.as_manager()

    class Meta:
        db_table = "traces_span"

    def __str__(self) -> str:
        return f"{self.event_type or 'span'} {self.span_id}"


class ToolRisk(models.Model):
    """What a project's policies say of the risk of tools of a name: for detectors, which know of no policy."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, db_index=False)
    tool_pattern = models.CharField(max_length=200)  # a name, or a shell-style pattern
    risk = models.TextField()  # "low", "medium" or "high"

    objects = ProjectScopedQuerySet.as_manager()

    class Meta:
        # Also the risks of a project, read when a trace is looked at.
        constraints = [models.UniqueConstraint(fields=["project", "tool_pattern"], name="tool_risk_natural_key")]

    def __str__(self) -> str:
        return f"{self.tool_pattern}: {self.risk}"


class IngestBatch(models.Model):
    """The ledger: one row for each batch; received = accepted + duplicates + rejected, always."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, db_index=False)
    source = models.TextField()
    key_name = models.TextField(default="", db_default="")
    received_at = models.DateTimeField(db_default=Now())
    received = models.IntegerField()
    accepted = models.IntegerField()
    duplicates = models.IntegerField()
    repaired = models.IntegerField()
    ignored = models.IntegerField(default=0, db_default=0)  # of those accepted, what stands for no step of any trace
    rejected_count = models.IntegerField()
    rejected = models.JSONField()  # [{"index", "errors": [{"pointer", "detail"}]}], the first MAX_REASONS
    traces = ArrayField(models.UUIDField())
    is_indexed = models.BooleanField(default=False, db_default=False)  # search knows its words
    redacted = models.JSONField(default=dict, db_default={})  # secrets that were taken out, each once, by kind
    MAX_REASONS: ClassVar[int] = 100
    objects = ProjectScopedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(
                    received=models.F("accepted") + models.F("duplicates") + models.F("rejected_count"),
                    repaired__lte=models.F("accepted") + models.F("duplicates"),
                    ignored__lte=models.F("accepted"),
                ),
                name="ingest_batch_adds_up",
            ),
        ]
        indexes = [
            # The ledger page and its sums, newest first.
            models.Index(fields=["project", "-received_at", "-id"], name="ingest_batch_list"),
            # What search does not know yet, a few rows: the work of its job, and how far it lags behind.
            models.Index(
                fields=["project", "received_at"], condition=models.Q(is_indexed=False), name="ingest_batch_unindexed"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.accepted} of {self.received} accepted"


class DetectJob(Job):
    """Look at the new steps of one trace; a later batch touches the same row."""

    kind: ClassVar[str] = "detect"
    queue: ClassVar[str] = "detect"
    natural_key: ClassVar[tuple[str, ...]] = ("trace",)
    trace = models.OneToOneField(Trace, on_delete=models.CASCADE)


class GateFact(models.Model):
    """What the gate decided on one action of a trace. What an agent says of a gate is a claim; this proves it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, db_index=False)
    trace_id = models.UUIDField(null=True)  # of the wire: the fact may be there before its trace
    approval_id = models.UUIDField()
    tool_name = models.TextField()
    input_hash = models.BigIntegerField()  # as Span.input_hash
    digest = models.CharField(max_length=64)
    decision = models.TextField()
    decided_at = models.DateTimeField()
    decided_by = models.TextField(default="", db_default="")  # empty: by policy, or by the clock
    waited_s = models.FloatField(null=True)  # until a person decided
    created_at = models.DateTimeField(db_default=Now())

    objects = ProjectScopedQuerySet.as_manager()

    class Meta:
        # The facts of one trace, for the detectors that judge its calls.
        indexes = [models.Index(fields=["project", "trace_id"], name="gate_fact_by_trace")]

    def __str__(self) -> str:
        return f"{self.decision} {self.tool_name}"
