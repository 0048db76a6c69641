"""Sign-ins, sign-outs and their failures, as the audit trail keeps them."""

from typing import Any
from uuid import UUID

from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.core.cache import cache
from django.http import HttpRequest

from agentops.accounts.models import Membership, User
from agentops.accounts.secrets import digest
from agentops.audit import services as audit
from agentops.audit.ref import NOBODY, Ref
from agentops.web.peer import client_ip

THROTTLED_EVERY_S = 60


def connect() -> None:
    """Listen to Django, which knows about sign-ins wherever they happen."""
    user_logged_in.connect(_signed_in, dispatch_uid="accounts.trail.in")
    user_logged_out.connect(_signed_out, dispatch_uid="accounts.trail.out")
    user_login_failed.connect(_failed, dispatch_uid="accounts.trail.failed")


def sign_in_throttled(request: HttpRequest, email: str) -> None:
    """Record a refused attempt, once a minute for each peer and account: a flood must not become a flood of rows."""
    email = email.strip().lower()[:254]
    if cache.add(f"throttled:{client_ip(request)}:{digest(email).hex()}", 1, THROTTLED_EVERY_S):
        _record("sign_in.throttled", request, _user(email), email)


def password_changed(request: HttpRequest, user: User) -> None:
    _record("password.changed", request, user, user.email, acted=True)


def _signed_in(request: HttpRequest, user: User, **kwargs: Any) -> None:
    method = "link" if getattr(request, "by_link", False) else "password"
    _record("sign_in.succeeded", request, user, user.email, {"method": method}, acted=True)


def _signed_out(request: HttpRequest, user: User | None, **kwargs: Any) -> None:
    if user is not None:
        _record("sign_out", request, user, user.email, acted=True)


def _failed(credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: Any) -> None:
    email = str(credentials.get("email", "")).strip().lower()[:254]
    _record("sign_in.failed", request, _user(email), email)


def _record(
    action: str, request: HttpRequest | None, user: User | None, email: str, detail: Any = None, *, acted: bool = False
) -> None:
    """Write to the chain of every project that the person belongs to, or to the installation's for a stranger."""
    projects: list[UUID | None] = []
    if user is not None:
        projects += Membership.objects.filter(user=user).order_by("project_id").values_list("project_id", flat=True)
    actor = user if acted and user is not None else NOBODY
    target = user or Ref("user", name=email)
    for project in projects or [None]:
        audit.record(action, actor=actor, project=project, target=target, detail=detail, request=request)


def _user(email: str) -> User | None:
    return User.objects.filter(email=email).first()
