"""What a test needs and does not care about: projects, people, their roles and keys."""

from datetime import timedelta
from itertools import count

from django.test import Client
from django.utils import timezone

from agentops.accounts.keys import NewKey, create_key
from agentops.accounts.models import ApiKey, Membership, Project, Role, Scope, User

_number = count(1)


def make_project(slug: str = "", **fields: object) -> Project:
    slug = slug or f"project-{next(_number)}"
    return Project.objects.create(slug=slug, **{"name": slug.title(), **fields})


def make_user(email: str = "", password: str | None = None, **fields: object) -> User:
    return User.objects.create_user(email or f"person-{next(_number)}@example.com", password, **fields)


def make_membership(project: Project | None = None, role: str = Role.ADMIN, user: User | None = None) -> Membership:
    return Membership.objects.create(project=project or make_project(), user=user or make_user(), role=role)


def make_key(project: Project | None = None, *scopes: str, by: User | None = None, name: str = "test") -> NewKey:
    """Make a key; `.token` is what a client sends, `.key` the row."""
    project = project or make_project()
    by = by or make_membership(project).user
    return create_key(project, by=by, name=name, scopes=scopes or list(Scope))


def expire(key: ApiKey) -> None:
    ApiKey.objects.filter(pk=key.pk).update(expires_at=timezone.now() - timedelta(seconds=1))


def bearer(token: str) -> dict[str, str]:
    """Headers of an API call: `client.get(url, headers=bearer(key.token))`."""
    return {"Authorization": f"Bearer {token}"}


def signed_in(membership: Membership, client: Client | None = None) -> Client:
    """Return a browser in which this member is signed in, with their project chosen."""
    client = client or Client()
    client.force_login(membership.user)
    session = client.session
    session["project"] = str(membership.project_id)
    session.save()
    return client
