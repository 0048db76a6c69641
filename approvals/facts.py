"""Gate facts: what the gate decided on an action, written where the trace's readers find it."""

from agentops.redaction.services import redactor_of
from approvals.models import Approval
from traces.ingest.step import arguments_hash
from traces.models import GateFact


def write(approval: Approval) -> None:
    """Write that this action was decided, by whom and when. Only such facts prove a gate."""
    action, at = approval.action, approval.decided_at
    if at is None:
        raise ValueError("nothing is decided")
    arguments = redactor_of(approval.project_id).value(action.parsed_arguments)  # as the step's hash is made
    GateFact.objects.create(
        project_id=approval.project_id,
        trace_id=action.trace_id,
        approval_id=approval.pk,
        tool_name=action.tool_name,
        input_hash=arguments_hash(arguments),
        digest=approval.digest,
        decision=approval.status,
        decided_at=at,
        decided_by=str(approval.decided_by) if approval.decided_by else "",
        waited_s=(at - approval.created_at).total_seconds() if approval.decided_by else None,
    )
