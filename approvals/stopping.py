"""A run that was stopped gets nothing more through the gate: what waits is denied, and what has not begun."""

from uuid import UUID

from approvals.decisions import end
from approvals.models import Approval, Status
from traces.containment.models import Stop
from traces.containment.queries import is_stopped, why_stopped, wire_ids
from traces.containment.services import settle

AT_ONCE = 100


def deny_what_was_stopped() -> None:
    """End what runs that were stopped still wait for. Safe to run twice; two queries a stop of the last minute."""
    stops = list(Stop.objects.unsettled().select_related("trace", "by").order_by("stopped_at")[:AT_ONCE])
    for stop in stops:
        unused = Approval.objects.of(stop.project_id).unused().whole()
        for approval in unused.filter(action__trace_id__in=wire_ids(stop.trace)):
            _deny(approval, stop.why)
    settle(stops)


def deny_stopped(approval: Approval) -> bool:
    """Deny what is asked for by a run that was stopped; False when it was not, or the approval had ended."""
    action = approval.action
    if action.trace_id is None or not is_stopped(action.project_id, action.trace_id):
        return False
    return _deny(approval, why_stopped(action.project_id, action.trace_id))


def denial_of(project_id: UUID, trace_id: UUID) -> str:
    """Return what an agent is told that asks on behalf of a run that was stopped; empty: it was not. Two queries."""
    return _comment(why_stopped(project_id, trace_id)) if is_stopped(project_id, trace_id) else ""


def _deny(approval: Approval, why: str) -> bool:
    return end(approval, Status.DENIED, comment=_comment(why))


def _comment(why: str) -> str:
    return f"stopped: {why}"
