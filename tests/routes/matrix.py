"""Every route and who may call it: a room that adds a route adds a row here, or the tests fail."""

from datetime import timedelta

from agentops.accounts.links import make_link
from agentops.accounts.models import LinkPurpose, Project, Role
from tests.builders import make_key, make_membership, make_user
from tests.routes.route import Route, page, public


def a_member(project: Project) -> dict[str, object]:
    return {"pk": make_membership(project, Role.VIEWER).pk}


def an_invited_member(project: Project) -> dict[str, object]:
    return {"pk": make_membership(project, Role.VIEWER, make_user(password=None)).pk}


def a_key(project: Project) -> dict[str, object]:
    return {"pk": make_key(project).key.pk}


def a_link(project: Project) -> dict[str, object]:
    user = make_membership(project, Role.VIEWER).user
    return {"token": make_link(user, purpose=LinkPurpose.SIGN_IN, lifetime=timedelta(minutes=1))}


A_PASSWORD = "long-and-never-used-before"
NEW_PASSWORD = {"new_password1": A_PASSWORD, "new_password2": A_PASSWORD}
NEW_MEMBER = {"email": "new@example.com", "role": "viewer"}
NEW_KEY = {"name": "ci", "scopes": ["ingest"], "expires": "30"}

MATRIX: dict[str, Route] = {
    # accounts: sign-in and a person's own pages
    "/accounts/login/": public(ok={"GET": 200, "POST": 200}, signed_in=302, data={"login": "x@example.com"}),
    "/accounts/logout/": public(ok={"POST": 302}),
    "/accounts/link/<str:token>/": public(ok={"GET": 200, "POST": 302}, objects=a_link),
    "/accounts/profile": page("view", ok={"GET": 200, "POST": 302}, data={"name": "Ada"}),
    "/accounts/password": page("view", ok={"POST": 302}, data=NEW_PASSWORD),
    "/accounts/project/": page("view", ok={"POST": 302}, data=lambda project: {"project": project.slug}),
    # accounts: a project's settings
    "/settings/members": page("manage_members"),
    "/settings/members/add": page("manage_members", ok={"POST": 200}, data=NEW_MEMBER),
    "/settings/members/<uuid:pk>/invite": page("manage_members", ok={"POST": 200}, objects=an_invited_member),
    "/settings/members/<uuid:pk>/role": page(
        "manage_members", ok={"POST": 302}, objects=a_member, data={"role": "admin"}
    ),
    "/settings/members/<uuid:pk>/remove": page("manage_members", ok={"GET": 200, "POST": 302}, objects=a_member),
    "/settings/keys": page("manage_keys"),
    "/settings/keys/create": page("manage_keys", ok={"POST": 200}, data=NEW_KEY),
    "/settings/keys/<uuid:pk>/rotate": page("manage_keys", ok={"POST": 200}, objects=a_key),
    "/settings/keys/<uuid:pk>/revoke": page("manage_keys", ok={"GET": 200, "POST": 302}, objects=a_key),
}
