"""Who belongs to a project: adding, changing and removing members."""

import msgspec
from django.db import transaction
from django.db.models import F
from django.http import HttpRequest

from agentops.accounts.links import INVITATION_LIFETIME, make_link
from agentops.accounts.models import LinkPurpose, Membership, Project, Role, User
from agentops.audit import services as audit


class LastAdminError(Exception):
    """A project is never left without an admin."""


class AlreadyAMemberError(Exception):
    """This person belongs to the project already."""


class InvitedElsewhereError(Exception):
    """This address has an invitation of another project that nobody has accepted yet.

    Until its owner has set a password, that project's admin holds a link that signs in as them: it must open no more.
    """


class Added(msgspec.Struct, frozen=True):
    """`token` belongs to the invitation of somebody new; who has an account already needs none."""

    membership: Membership
    token: str | None


@transaction.atomic
def add_member(
    project: Project, *, email: str, role: str, by: User, name: str = "", request: HttpRequest | None = None
) -> Added:
    """Give somebody a role, by address. Raises AlreadyAMemberError or InvitedElsewhereError."""
    email = email.strip().lower()
    user = User.objects.select_for_update().filter(email=email).first()
    if user and Membership.objects.of(project).filter(user=user).exists():
        raise AlreadyAMemberError
    if user and not user.has_usable_password() and user.memberships.exists():
        raise InvitedElsewhereError
    user = user or User.objects.create_user(email, name=name)
    membership = Membership.objects.create(project=project, user=user, role=Role(role))
    token = None if user.has_usable_password() else _invite(user)
    detail = {"role": role, "invited": token is not None}
    audit.record("member.added", actor=by, project=project, target=user, detail=detail, request=request)
    return Added(membership, token)


@transaction.atomic
def renew_invitation(membership: Membership, *, by: User, request: HttpRequest | None = None) -> str | None:
    """Return a fresh link for somebody who has not come yet, else None. Earlier links stop working."""
    user = User.objects.select_for_update().get(pk=membership.user_id)
    if user.has_usable_password() or user.memberships.exclude(pk=membership.pk).exists():
        return None
    user.sign_in_links.filter(used_at=None).delete()
    audit.record("member.invited_again", actor=by, project=membership.project_id, target=user, request=request)
    return _invite(user)


@transaction.atomic
def change_role(membership: Membership, *, role: str, by: User, request: HttpRequest | None = None) -> Membership:
    """Give a member another role and end their sessions. Raises LastAdminError."""
    current = _locked(membership)
    before, current.role = current.role, Role(role)
    if before == current.role:
        return current
    if before == Role.ADMIN:
        _keep_an_admin(current)
    current.save(update_fields=["role"])
    _end_sessions(current.user)
    detail = {"was": before, "now": role}
    audit.record(
        "member.role_changed", actor=by, project=current.project_id, target=current.user, detail=detail, request=request
    )
    return current


@transaction.atomic
def remove_member(membership: Membership, *, by: User, request: HttpRequest | None = None) -> None:
    """Take somebody out of the project: their sessions end and the keys they made stop. Raises LastAdminError."""
    current = _locked(membership)
    if current.role == Role.ADMIN:
        _keep_an_admin(current)
    current.delete()
    _end_sessions(current.user)
    detail = {"role": current.role}
    audit.record(
        "member.removed", actor=by, project=current.project_id, target=current.user, detail=detail, request=request
    )


@transaction.atomic
def disable_user(user: User, *, by: User, request: HttpRequest | None = None) -> None:
    """Shut a person out everywhere, with their keys, at the next request."""
    User.objects.filter(pk=user.pk).update(is_active=False, session_epoch=F("session_epoch") + 1)
    projects = user.memberships.order_by("project_id").values_list("project_id", flat=True)
    for project_id in projects:
        audit.record("user.disabled", actor=by, project=project_id, target=user, request=request)


def _locked(membership: Membership) -> Membership:
    """Read the membership again under the project's lock: two admins must not remove each other at once."""
    Project.objects.select_for_update(no_key=True).get(pk=membership.project_id)
    return Membership.objects.select_related("user").get(pk=membership.pk)


def _keep_an_admin(leaving: Membership) -> None:
    if not Membership.objects.of(leaving.project_id).admins().exclude(pk=leaving.pk).exists():
        raise LastAdminError


def _end_sessions(user: User) -> None:
    User.objects.filter(pk=user.pk).update(session_epoch=F("session_epoch") + 1)


def _invite(user: User) -> str:
    return make_link(user, purpose=LinkPurpose.INVITE, lifetime=INVITATION_LIFETIME)
