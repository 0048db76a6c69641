"""Threads: clients that send one trace for each call, whose calls are kept together as one run."""

from uuid import UUID

from django.db import models
from django.db.models import OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce, Now
from uuid_utils.compat import uuid7

from agentops.accounts.models import Project
from agentops.accounts.scoped import ProjectScopedQuerySet
from traces.models import Trace


class Part(models.Model):
    """A trace of the wire that is one call of a thread: its spans are kept in the trace `thread`, maybe itself."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, db_index=False)
    trace_id = models.UUIDField()  # of the wire, as `thread`
    thread = models.UUIDField()
    session_id = models.TextField(default="", db_default="")  # the sender's
    received_at = models.DateTimeField(db_default=Now())

    objects = ProjectScopedQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "trace_id"], name="part_natural_key")]
        indexes = [
            # The thread of a session, for its next call.
            models.Index(
                fields=["project", "session_id", "-received_at"],
                condition=~models.Q(session_id=""),
                name="part_by_session",
            ),
            # How many traces a thread was put together of.
            models.Index(fields=["project", "thread"], name="part_by_thread"),
        ]

    def __str__(self) -> str:
        return f"{self.trace_id.hex} in {self.thread.hex}"


def kept_as(project: Project | UUID, trace_id: UUID) -> Coalesce:
    """Return the id of the trace that keeps what was sent under this one, for a filter. No query of its own."""
    thread = Part.objects.of(project).filter(trace_id=trace_id).values("thread")[:1]
    return Coalesce(Subquery(thread), Value(trace_id, output_field=models.UUIDField()))


def with_parts(rows: QuerySet[Trace]) -> QuerySet[Trace]:
    """Add to traces of how many traces of the wire they were put together, as `parts`. No query of its own."""
    parts = Part.objects.filter(project=OuterRef("project"), thread=OuterRef("trace_id")).order_by().values("thread")
    return rows.annotate(parts=Coalesce(Subquery(parts.annotate(n=models.Count("id")).values("n")), 0))
