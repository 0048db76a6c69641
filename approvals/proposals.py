"""An agent asks: its action is written down, a policy catches it, and people are told where they decide."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from django.db import IntegrityError, transaction

from agentops.accounts.models import ApiKey, Project, User
from agentops.notify.message import Message
from agentops.notify.services import notify
from approvals import eligible, facts, policies
from approvals.digest import ArgumentsError, canonical, check_readable, digest_of
from approvals.models import Action, Approval, Mode, Policy, Status, Tier, approval_of_call
from approvals.news import announce, database_now
from approvals.stopping import denial_of

SHORTEST_TO_DECIDE_S = 1
LONGEST_TO_DECIDE_S = 7 * 24 * 3_600


class ProposalError(ValueError):
    """Raised for a proposal that cannot be; `pointer` says where, the message what would be right."""

    def __init__(self, pointer: str, detail: str) -> None:
        super().__init__(detail)
        self.pointer = pointer


class ToolFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the built-in agent knows of the tool it wants to call."""

    definition_hash: str
    schema: dict[str, Any] | None = None
    preview: dict[str, Any] | None = None


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A tool call that an agent wants to make; `reason` is what the agent says of it."""

    tool_name: str
    arguments: dict[str, Any]
    agent: str = ""
    trace_id: UUID | None = None
    external_trace_id: str | None = None
    session_id: str = ""
    reason: str = ""
    requester: User | None = None  # the person on whose behalf the agent acts
    key: ApiKey | None = None
    run_id: UUID | None = None
    call_id: str | None = None
    tool: ToolFacts | None = None
    expires_in_s: int | None = None
    callback_url: str = ""


def ask(project: Project, proposal: Proposal) -> Approval:
    """Write an action down with its approval: pending, or approved or denied at once. Raises ProposalError.

    Asking twice under one `call_id` returns the first one. A person is told of what waits for one.
    """
    if proposal.call_id and (known := approval_of_call(project.pk, proposal.call_id)):
        return known
    try:
        with transaction.atomic():
            return _ask(project, proposal)
    except IntegrityError:
        known = approval_of_call(project.pk, proposal.call_id) if proposal.call_id else None
        if known is None:
            raise
        return known


def _ask(project: Project, proposal: Proposal) -> Approval:
    policy = policies.match(project.pk, proposal.tool_name)
    tier = Tier(policy.tier) if policy else Tier.HIGH
    action = _action(project, proposal, is_read=tier == Tier.HIGH)
    approval = _approval(action, policy, tier, proposal)
    approval.digest = digest_of(action, approval)
    _decide_by_policy(approval)
    action.save(force_insert=True)
    approval.save(force_insert=True)
    if approval.status == Status.PENDING:
        _tell(approval)
        announce(approval)
    else:
        facts.write(approval)
    return approval


def _action(project: Project, proposal: Proposal, *, is_read: bool) -> Action:
    try:
        arguments = canonical(proposal.arguments)
        if is_read:
            check_readable(proposal.arguments, arguments)
    except ArgumentsError as error:
        raise ProposalError("/arguments", str(error)) from None
    names = ("tool_name", "agent", "trace_id", "external_trace_id", "session_id", "reason", "requester", "key")
    said = {name: getattr(proposal, name) for name in (*names, "run_id", "call_id")}
    tool = proposal.tool or ToolFacts(definition_hash="")
    return Action(project=project, arguments=arguments, **said, **msgspec.structs.asdict(tool))


def _approval(action: Action, policy: Policy | None, tier: Tier, proposal: Proposal) -> Approval:
    rules = policy or Policy()
    longest_s = policy.decide_within_s if policy else LONGEST_TO_DECIDE_S  # an agent may wait for less, not for more
    wait_s = min(proposal.expires_in_s or rules.decide_within_s, longest_s)
    return Approval(
        project=action.project,
        action=action,
        status=Status.PENDING,
        tier=tier,
        mode=rules.mode,
        policy=policy,
        policy_name=policy.name if policy else "",
        policy_version=policy.version if policy else 0,
        expires_at=database_now() + timedelta(seconds=max(wait_s, SHORTEST_TO_DECIDE_S)),
        execute_within_s=rules.execute_within_s,
        callback_url=proposal.callback_url,
    )


def _decide_by_policy(approval: Approval) -> None:
    """Decide at once what needs no person, and deny what no person may decide."""
    now = database_now()
    denial = _denial(approval)
    if denial:
        approval.status, approval.comment, approval.decided_at = Status.DENIED, denial, now
    elif approval.tier != Tier.HIGH:
        approval.status, approval.decided_at = Status.APPROVED, now
        approval.execute_by = now + timedelta(seconds=approval.execute_within_s)


def _denial(approval: Approval) -> str:
    action = approval.action
    if action.trace_id and (stopped := denial_of(action.project_id, action.trace_id)):
        return stopped
    if approval.tier == Tier.HIGH and approval.mode == Mode.DENY:
        return f"the policy {approval.policy_name} denies it always"
    if approval.tier == Tier.HIGH and not eligible.deciders(approval):
        return "nobody in this project may approve it"
    return ""


def _tell(approval: Approval) -> None:
    action = approval.action
    who = action.agent or "An agent"
    message = Message(
        kind="approval.waiting",
        id=f"approval:{approval.pk}",
        title=f"{who} waits for a decision: {action.title}",
        body=f"{action.tool_name}. {eligible.who_may(approval)} Without a decision it is denied at "
        f"{approval.expires_at:%Y-%m-%d %H:%M:%S} UTC.",
        severity="high",
        url=approval.get_absolute_url(),
    )
    notify(approval.project_id, message, key=f"approval:{approval.pk}:asked")
