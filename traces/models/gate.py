"""What the room of approvals tells this one: the risk of tools, and what the gate decided."""

from django.db import models
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from agentops.accounts.models import Project
from agentops.accounts.scoped import ProjectScopedQuerySet


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
