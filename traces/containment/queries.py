"""Reading what was stopped, and why."""

from datetime import datetime
from uuid import UUID

from agentops.accounts.models import Project
from traces.containment.models import Stop, StopQuerySet
from traces.models import Trace
from traces.threads.models import Part, kept_as


def is_stopped(project: Project | UUID, trace_id: UUID, *, lock: bool = False) -> bool:
    """Say whether the trace of this id of the wire was stopped. One query.

    With `lock` it stays so until the caller's transaction ends: whoever stops the run comes before or after it.
    """
    rows = Trace.objects.of(project).filter(trace_id=kept_as(project, trace_id))
    if lock:
        rows = rows.select_for_update(no_key=True)
    return rows.values_list("stopped_at", flat=True).first() is not None


def why_stopped(project: Project | UUID, trace_id: UUID) -> str:
    """Say in a few words by whom and why the trace of this id of the wire was stopped. One query."""
    stop = Stop.objects.of(project).filter(trace__trace_id=kept_as(project, trace_id)).select_related("by").first()
    return stop.why if stop else "this run was stopped"


def stops_of_failures(project: Project, since: datetime) -> StopQuerySet:
    """Return the stops since a moment that ended something that was found, not those of a person's own reasons."""
    return Stop.objects.of(project).filter(stopped_at__gte=since, onset_at__isnull=False)


def wire_ids(trace: Trace) -> list[UUID]:
    """Return the ids of the wire that a run goes by: of its trace, and of what is kept in it. One query."""
    parts = Part.objects.of(trace.project_id).filter(thread=trace.trace_id).values_list("trace_id", flat=True)
    return [trace.trace_id, *parts]
