"""What runs in this room: calls to agents elsewhere, and the clock of what nobody decided or reported in time."""

from agentops.jobs.registry import every, handles
from approvals import callbacks
from approvals.decisions import end
from approvals.executions import AT_ONCE, note_missing_results
from approvals.models import Approval, CallbackJob, Status
from approvals.stopping import deny_what_was_stopped


@handles(CallbackJob.kind, atomic=False)
def call_back(job: CallbackJob) -> None:
    callbacks.call(Approval.objects.whole().get(pk=job.approval_id))


@every(seconds=1)
def expire() -> None:
    for approval in Approval.objects.overdue().whole()[:AT_ONCE]:
        end(approval, Status.EXPIRED)


@every(seconds=1)
def deny_stopped() -> None:
    deny_what_was_stopped()


@every(seconds=5)
def look_for_missing_results() -> None:
    note_missing_results()
