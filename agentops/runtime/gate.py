"""The built-in agent's side of the gate: all its questions to `approvals`, inside the engine's transactions."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from agentops.runtime.models import Run
from agentops.runtime.tools.base import Preview, Tool
from approvals import services
from approvals.models import Approval
from approvals.services import NotApprovedError, StaleError

__all__ = ["NotApprovedError", "Refused", "StaleError", "Verdict", "Wish"]


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """A call that needs the gate's word."""

    run: Run
    call_id: str  # asking twice under one gets the first answer
    tool: Tool
    definition_hash: str
    arguments: dict[str, Any]
    preview: Preview
    reason: str = ""  # what the agent says of it


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Where an approval stands."""

    id: UUID
    status: str
    arguments: dict[str, Any]  # as they would run now, maybe edited by a person
    comment: str = ""
    decided_by: str = ""
    decided_at: datetime | None = None


class Refused(msgspec.Struct, frozen=True):
    """The gate cannot even be asked about such a call."""

    reason: str


def ask(wish: Wish) -> Verdict | Refused:
    run = wish.run
    proposal = services.Proposal(
        tool_name=wish.tool.name,
        arguments=wish.arguments,
        agent=run.agent,
        trace_id=run.trace_id,
        session_id=run.session_id,
        reason=wish.reason,
        requester=run.started_by,
        run_id=run.pk,
        call_id=wish.call_id,
        tool=services.ToolFacts(
            definition_hash=wish.definition_hash,
            schema=wish.tool.schema,
            preview=msgspec.to_builtins(wish.preview),
        ),
    )
    try:
        return _verdict(services.ask(run.project, proposal))
    except services.ProposalError as error:
        return Refused(str(error))


def verdicts(ids: Iterable[UUID]) -> dict[UUID, Verdict]:
    """Return where these approvals stand. One query."""
    return {approval.pk: _verdict(approval) for approval in Approval.objects.whole().filter(pk__in=list(ids))}


def consume(approval_id: UUID, definition_hash: str) -> dict[str, Any]:
    """Use an approval up and return the arguments it is for. Raises NotApprovedError or StaleError."""
    return services.consume(approval_id, definition_hash=definition_hash).arguments


def supersede(approval_id: UUID) -> None:
    """End an approval that is stale; it will be asked for again."""
    services.supersede(approval_id)


def report(approval_id: UUID, outcome: str, detail: str) -> None:
    services.report(approval_id, outcome=outcome, detail=detail)


def cancel(run_id: UUID) -> list[Approval]:
    """Withdraw what is pending for a run, and return it for note_cancelled()."""
    return services.cancel_of_run(run_id)


def note_cancelled(approvals: Iterable[Approval]) -> None:
    """Write what was withdrawn to the audit trail, which is locked from here until the transaction ends."""
    for approval in approvals:
        services.note_end(approval)


def _verdict(approval: Approval) -> Verdict:
    return Verdict(
        id=approval.pk,
        status=approval.status,
        arguments=approval.action.parsed_arguments,
        comment=approval.comment,
        decided_by=str(approval.decided_by) if approval.decided_by else "",
        decided_at=approval.decided_at,
    )
