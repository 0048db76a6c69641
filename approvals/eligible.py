"""Who may decide on an approval, and why somebody may not."""

from datetime import timedelta
from uuid import UUID

from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from agentops.accounts.models import Membership
from agentops.accounts.policy import PERMISSIONS
from approvals.models import Approval, Mode, Policy

POLICY_EDIT_COUNTS_FOR = timedelta(hours=24)
NAMES_SHOWN = 5


class NotAllowedError(Exception):
    """This person may not decide on this; the message says why, and who may."""


def deciders(approval: Approval, *, edited_by: UUID | None = None) -> "QuerySet[Membership]":
    """Return the members who may decide. `edited_by`: as if this person had edited the arguments."""
    members = Membership.objects.of(approval.project_id).filter(user__is_active=True)
    decide = Q(role__in=PERMISSIONS["decide"])
    if approval.mode == Mode.CONFIRM:
        acting = Q(user=approval.action.requester_id, role__in=PERMISSIONS["run"])
        return members.filter(decide | acting).select_related("user")
    return members.filter(decide).exclude(user__in=[*_involved(approval), *filter(None, [edited_by])])


def check(approval: Approval, member: Membership | None) -> Membership:
    """Return the member who may decide. Raises NotAllowedError. Two queries where they may."""
    if member is not None and deciders(approval).filter(pk=member.pk).exists():
        return member
    raise NotAllowedError(f"{_why_not(approval, member)} {who_may(approval)}")


def who_may(approval: Approval) -> str:
    """Say by name who may decide. One query."""
    names = [str(member.user) for member in deciders(approval).select_related("user").order_by("created_at")]
    if not names:
        return "Nobody in this project may: it needs a member with the role approver who had no part in it."
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return f"{', '.join(names[:NAMES_SHOWN])}{more} may decide."


def _why_not(approval: Approval, member: Membership | None) -> str:
    action = approval.action
    if member is None:
        return "Only a member of this project decides."
    if member.role in PERMISSIONS["decide"] and approval.mode == Mode.FOUR_EYES:
        if member.user_id == action.requester_id:
            return "You started the run." if action.run_id else "You asked for this, or your API key did."
        if member.user_id == action.edited_by_id:
            return "You edited the arguments, so somebody else decides."
        return "You changed the policy in the last 24 hours, so somebody else decides."
    if member.user_id == action.requester_id:
        return "You asked for this, and your role is no approver."
    return f"Your role here is {member.role}, and this needs the role approver."


def _involved(approval: Approval) -> list[UUID]:
    action = approval.action
    people = [action.requester_id, action.edited_by_id]
    if approval.policy_id:
        recent = Policy.objects.filter(pk=approval.policy_id, edited_at__gt=Now() - POLICY_EDIT_COUNTS_FOR)
        people.extend(recent.values_list("edited_by", flat=True))
    return [person for person in people if person is not None]
