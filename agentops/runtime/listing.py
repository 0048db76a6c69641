"""What the list of runs shows; each read says how many queries it costs."""

from collections.abc import Iterable, Mapping
from uuid import UUID

from django.db.models import Count, Exists, OuterRef, QuerySet

from agentops.accounts.models import Project
from agentops.runtime.models import ModelTurn, Run
from agentops.runtime.states import RunStatus
from approvals.models import Approval, Status
from traces.models import Trace

# What a list may be narrowed to: one word for statuses that mean the same to whoever looks.
GROUPS = {
    "active": (RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.ROLLING_BACK),
    "waiting": (RunStatus.WAITING_APPROVAL,),
    "needs_person": (RunStatus.NEEDS_PERSON,),
    "succeeded": (RunStatus.SUCCEEDED,),
    "failed": (RunStatus.FAILED, RunStatus.ROLLED_BACK),
    "cancelled": (RunStatus.CANCELLED,),
}


def runs(project: Project, group: str = "") -> "QuerySet[Run]":
    """Return the project's runs with who started each and whether a script answered, for a keyset page. One query."""
    scripted = ModelTurn.objects.filter(run=OuterRef("pk"), is_simulated=True)
    rows = Run.objects.of(project).select_related("started_by").annotate(is_scripted=Exists(scripted))
    return rows.filter(status__in=GROUPS[group]) if group else rows


def counts(project: Project) -> dict[str, int]:
    """Return how many runs there are in each group. One query."""
    rows = Run.objects.of(project).values_list("status").annotate(n=Count("id"))
    found: dict[str, int] = dict(rows)
    return {group: sum(found.get(status, 0) for status in statuses) for group, statuses in GROUPS.items()}


def waited_for(project: Project, run_ids: Iterable[UUID]) -> dict[UUID, list[Approval]]:
    """Return what each run waits for, the first one asked first. One query."""
    waiting = Approval.objects.of(project).whole().filter(status=Status.PENDING, action__run_id__in=list(run_ids))
    found: dict[UUID, list[Approval]] = {}
    for approval in waiting.order_by("created_at", "id"):
        if approval.action.run_id:
            found.setdefault(approval.action.run_id, []).append(approval)
    return found


def traces_of(project: Project, runs: Iterable[Run]) -> Mapping[UUID, Trace]:
    """Return the traces of runs, by their id of the wire; a run that has not begun has none. One query."""
    found = Trace.objects.of(project).filter(trace_id__in=[run.trace_id for run in runs])
    return {trace.trace_id: trace for trace in found}
