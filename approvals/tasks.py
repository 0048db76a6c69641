"""The clock of this room: what nobody decided in time, and what was claimed and never reported."""

from agentops.jobs.registry import every
from approvals.decisions import end
from approvals.executions import AT_ONCE, note_missing_results
from approvals.models import Approval, Status


@every(seconds=1)
def expire() -> None:
    for approval in Approval.objects.overdue().whole()[:AT_ONCE]:
        end(approval, Status.EXPIRED)


@every(seconds=5)
def look_for_missing_results() -> None:
    note_missing_results()
