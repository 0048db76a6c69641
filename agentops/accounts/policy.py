"""Who may what: the one table of permissions and roles, and how views and APIs ask it."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from agentops.accounts.models import Membership, Role, Scope

View = Callable[..., HttpResponseBase]

_EVERYONE = frozenset(Role)
_STAFF = frozenset({Role.OPERATOR, Role.APPROVER, Role.ADMIN})
_ADMIN = frozenset({Role.ADMIN})

PERMISSIONS: dict[str, frozenset[Role]] = {
    "view": _EVERYONE,
    "acknowledge": _STAFF,
    "run": _STAFF,
    "stop": _STAFF,
    # An admin is no approver: who writes the rules does not also decide under them.
    "decide": frozenset({Role.APPROVER}),
    "manage_members": _ADMIN,
    "manage_keys": _ADMIN,
    "manage_policies": _ADMIN,
    "manage_channels": _ADMIN,
    "manage_detectors": _ADMIN,
    "manage_containment": _ADMIN,
    "manage_redaction": _ADMIN,
    "view_audit": _ADMIN,
}

# What a person's session may do on the API, and the most that a key of theirs may: a key never outranks its maker.
# One exception: a key that sends steps goes on when its maker's role changes, for what is not sent is lost.
SCOPES: dict[Scope, frozenset[Role]] = {
    Scope.INGEST: _STAFF,
    Scope.READ: _EVERYONE,
    Scope.GATE: _STAFF,
    Scope.RUN: _STAFF,
    Scope.MANAGE: _STAFF,
}


def may(membership: Membership | None, permission: str) -> bool:
    return membership is not None and membership.role in PERMISSIONS[permission]


def role_has_scope(membership: Membership | None, scope: str) -> bool:
    return membership is not None and membership.role in SCOPES[Scope(scope)]


def request_has_scope(request: HttpRequest, scope: str) -> bool:
    """Return whether this key, or else this signed-in person, may use the API so."""
    key = getattr(request, "api_key", None)
    if key is not None and (scope not in key.scopes or scope == Scope.INGEST):
        return scope in key.scopes
    return role_has_scope(getattr(request, "membership", None), scope)


def requires(permission: str) -> Callable[[View], View]:
    """Let a view be used by people whose role has the permission; a key never counts as a person."""
    if permission not in PERMISSIONS:
        raise LookupError(permission)

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            is_program = getattr(request, "api_key", None) is not None
            if is_program or not may(getattr(request, "membership", None), permission):
                raise PermissionDenied(refusal(permission))
            return view(request, *args, **kwargs)

        return guarded

    return decorate


def refusal(permission: str) -> str:
    """Say who may, so that a person knows whom to ask."""
    roles = sorted(Role(role).label.lower() for role in PERMISSIONS[permission])
    return f"This needs the role {' or '.join(roles)} in this project."
