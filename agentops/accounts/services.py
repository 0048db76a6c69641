"""What other rooms call: the first start of an installation; links, keys and members under one name."""

import secrets
from collections.abc import Callable
from typing import Any, TypedDict

from django.db import connection, transaction

from agentops.accounts.keys import create_key, revoke_key, rotate_key
from agentops.accounts.links import make_sign_in_link
from agentops.accounts.members import add_member, change_role, disable_user, remove_member
from agentops.accounts.models import Membership, Project, Role, Scope, User
from agentops.audit import services as audit
from agentops.audit.ref import SYSTEM

__all__ = [
    "add_member",
    "change_role",
    "create_key",
    "create_project",
    "disable_user",
    "first_start",
    "make_sign_in_link",
    "oldest_admin",
    "remove_member",
    "revoke_key",
    "rotate_key",
]


class Person(TypedDict):
    email: str
    password: str


class Credentials(TypedDict):
    url: str
    project: str
    api_key: str
    owner: Person
    approver: Person


def first_start(*, url: str, save: Callable[[Credentials], None] | None = None) -> Credentials | None:
    """Make project `default` with its owner, approver and key; None when any project exists.

    `save` is called before the commit: a start that is killed half way leaves no installation without its credentials.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('accounts.first_start'))")
        if Project.objects.exists():
            return None
        project = create_project(slug="default", name="Default", environment="sandbox", is_sandbox=True)
        owner, owner_password = _person(project, "owner@localhost", "Owner", Role.ADMIN)
        _, approver_password = _person(project, "approver@localhost", "Approver", Role.APPROVER)
        key = create_key(project, by=owner, name="First key", scopes=Scope, lifetime=None)
        credentials = Credentials(
            url=url,
            project=project.slug,
            api_key=key.token,
            owner=Person(email="owner@localhost", password=owner_password),
            approver=Person(email="approver@localhost", password=approver_password),
        )
        if save:
            save(credentials)
    return credentials


@transaction.atomic
def create_project(*, slug: str, name: str, by: User | None = None, **fields: Any) -> Project:
    """Make a project with `by` as its first admin. Raises IntegrityError for a slug that is taken."""
    project = Project.objects.create(slug=slug, name=name, **fields)
    if by:
        Membership.objects.create(project=project, user=by, role=Role.ADMIN)
    audit.record("project.created", actor=by or SYSTEM, project=project, target=project)
    return project


def oldest_admin(project: Project | None = None) -> User | None:
    """Return whom commands act for: the first admin of the project, or of the oldest project."""
    project = project or Project.objects.order_by("created_at").first()
    if project is None:
        return None
    membership = Membership.objects.of(project).admins().select_related("user").order_by("created_at", "id").first()
    return membership.user if membership else None


def _person(project: Project, email: str, name: str, role: Role) -> tuple[User, str]:
    password = secrets.token_urlsafe(18)
    user = User.objects.create_user(email, password, name=name)
    Membership.objects.create(project=project, user=user, role=role)
    audit.record("member.added", actor=SYSTEM, project=project, target=user, detail={"role": role.value})
    return user, password
