"""Who may decide on an approval, and why somebody may not."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models.functions import Now

from agentops.accounts.models import Membership, Project
from agentops.accounts.policy import PERMISSIONS
from approvals.models import Approval, Mode

POLICY_EDIT_COUNTS_FOR = timedelta(hours=24)
NAMES_SHOWN = 5


class NotAllowedError(Exception):
    """This person may not decide on this; the message says why, and who may."""


class People:
    """The active members of a project as they are now, asked about any number of its approvals. One query."""

    def __init__(self, project: Project | UUID) -> None:
        rows = Membership.objects.of(project).filter(user__is_active=True).select_related("user")
        self.members = list(rows.annotate(read_at=Now()).order_by("created_at", "id"))

    @property
    def read_at(self) -> datetime | None:
        """The database's clock when they were read; None where nobody is."""
        return getattr(self.members[0], "read_at", None) if self.members else None

    def deciders(self, approval: Approval, *, edited_by: UUID | None = None) -> list[Membership]:
        """Return the members who may decide. `edited_by`: as if this person had edited the arguments."""
        if approval.mode == Mode.CONFIRM:
            return [member for member in self.members if _may_confirm(approval, member)]
        barred = {*self.parts(approval), edited_by}
        return [member for member in self.members if _is_approver(member) and member.user_id not in barred]

    def parts(self, approval: Approval) -> dict[UUID, str]:
        """Return who had which part in what has to be decided by somebody else; a part bars a person."""
        if approval.mode == Mode.CONFIRM:
            return {}
        action = approval.action
        asked = "asked for this by API key" if action.key_id else "asked for this"
        found = {
            self._policy_editor(approval): "changed the policy in the last 24 hours",
            action.edited_by_id: "edited the arguments",
            action.requester_id: "started the run" if action.run_id else asked,
        }
        return {person: part for person, part in found.items() if person is not None}

    def _policy_editor(self, approval: Approval) -> UUID | None:
        policy, now = approval.policy, self.read_at
        if policy is None or now is None or policy.edited_at <= now - POLICY_EDIT_COUNTS_FOR:
            return None
        return policy.edited_by_id

    def why_not(self, approval: Approval, member: Membership | None) -> str:
        """Say why this member may not decide, and who may; empty where they may."""
        deciders = self.deciders(approval)
        if member is not None and member.pk in {one.pk for one in deciders}:
            return ""
        return f"{self._reason(approval, member)} {may_decide(deciders)}"

    def _reason(self, approval: Approval, member: Membership | None) -> str:
        if member is None:
            return "Only a member of this project decides."
        if _is_approver(member) and (part := self.parts(approval).get(member.user_id)):
            return f"You {part}, so somebody else decides."
        return f"Your role here is {member.role}, and this needs the role approver."


def deciders(approval: Approval, *, edited_by: UUID | None = None) -> list[Membership]:
    """Return the members who may decide. `edited_by`: as if this person had edited the arguments. One query."""
    return People(approval.project_id).deciders(approval, edited_by=edited_by)


def check(approval: Approval, member: Membership | None) -> Membership:
    """Return the member who may decide. Raises NotAllowedError. One query."""
    refusal = People(approval.project_id).why_not(approval, member)
    if member is None or refusal:
        raise NotAllowedError(refusal)
    return member


def who_may(approval: Approval) -> str:
    """Say by name who may decide. One query."""
    return may_decide(deciders(approval))


def may_decide(members: Sequence[Membership]) -> str:
    """Say in one sentence that these may decide."""
    if not members:
        return "Nobody in this project may: it needs a member with the role approver who had no part in it."
    more = f" and {len(members) - NAMES_SHOWN} more" if len(members) > NAMES_SHOWN else ""
    return f"{', '.join(str(member.user) for member in members[:NAMES_SHOWN])}{more} may decide."


def _is_approver(member: Membership) -> bool:
    return member.role in PERMISSIONS["decide"]


def _may_confirm(approval: Approval, member: Membership) -> bool:
    is_acting = member.user_id == approval.action.requester_id and member.role in PERMISSIONS["run"]
    return _is_approver(member) or is_acting
