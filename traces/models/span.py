"""A span, one recorded unit of work, and the toolset that it offered to a model."""

from django.db import models
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from agentops.accounts.models import Project
from agentops.accounts.scoped import ProjectScopedQuerySet
from traces.costs import Cost
from traces.models.trace import Trace


class EventType(models.TextChoices):
    """What makes a span a step."""

    TOOL_CALL = "tool_call"
    MODEL_RESPONSE = "model_response"
    ERROR = "error"
    HUMAN_GATE = "human_gate"


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
    `output_preview` are slim and inline; the rest, out of line where it is long, is never read to draw
    a list or a tree.
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
