"""How an approval is written on the API."""

from typing import Any
from urllib.parse import urljoin

from django.conf import settings

from approvals.models import Approval


def brief(approval: Approval) -> dict[str, Any]:
    """Return an approval as lists show it. No query where it was read `whole()`."""
    action = approval.action
    return {
        "id": str(approval.pk),
        "status": approval.status,
        "action_status": action.status,
        "tier": approval.tier,
        "tool_name": action.tool_name,
        "arguments": action.parsed_arguments,
        "agent": action.agent,
        "digest": approval.digest,
        "run_id": str(action.run_id) if action.run_id else None,
        "trace_id": action.trace_id.hex if action.trace_id else None,
        "expires_at": approval.expires_at,
        "url": urljoin(settings.ENV.agentops_public_url, approval.get_absolute_url()),
    }


def full(approval: Approval) -> dict[str, Any]:
    """Return an approval with what was decided. No query where it was read `whole()`."""
    action = approval.action
    return {
        **brief(approval),
        "policy": approval.policy_name or None,
        "created_at": approval.created_at,
        "decided_by": str(approval.decided_by) if approval.decided_by else None,
        "decided_at": approval.decided_at,
        "comment": approval.comment,
        "claimed_at": action.claimed_at,
        "finished_at": action.finished_at,
        "detail": action.detail,
    }
