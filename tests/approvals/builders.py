"""What tests of approvals need and do not care about: policies, proposals, people who may decide."""

from typing import Any

from agentops.accounts.models import Membership, Project, Role
from approvals import services
from approvals.models import Approval
from tests.builders import make_membership, make_project


def make_approver(project: Project) -> Membership:
    return make_membership(project, Role.APPROVER)


def make_policy(project: Project, tool_pattern: str = "issue_refund", tier: str = "high", **fields: Any) -> Any:
    return services.save_policy(
        project, by=None, name=f"On {tool_pattern}", tool_pattern=tool_pattern, tier=tier, **fields
    )


def propose(project: Project | None = None, **fields: Any) -> Approval:
    """Ask; where the project is made here, it has somebody who may decide."""
    if project is None:
        project = make_project()
        make_approver(project)
    given: dict[str, Any] = {"tool_name": "issue_refund", "arguments": {"order_id": 1001, "amount": "40.00 USD"}}
    return services.ask(project, services.Proposal(**{**given, **fields}))


def fresh(approval: Approval) -> Approval:
    return Approval.objects.whole().get(pk=approval.pk)


def decide(approval: Approval, member: Membership | None, decision: str = "approve", **fields: Any) -> Approval:
    given = services.Given(**{"decision": decision, "digest": approval.digest, **fields})
    return services.decide(fresh(approval), given, member=member)


def approved(**fields: Any) -> Approval:
    """An approval that a person gave."""
    approval = propose(**fields)
    member = Membership.objects.get(project=approval.project, role=Role.APPROVER)
    return decide(approval, member)
