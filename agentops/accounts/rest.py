"""How Django REST framework's views learn who asks and what they may: a key's scopes, else a person's role."""

from typing import Any

from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from agentops.accounts.policy import may, refusal, request_has_scope


class MemberAuthentication(SessionAuthentication):
    """ProjectMiddleware has decided already; a session must also show its CSRF token for unsafe methods."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        key = getattr(request._request, "api_key", None)
        return (key.created_by, key) if key is not None else super().authenticate(request)

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="agentops"'


class HasScope(BasePermission):
    """A view names its scope, `scope = "read"` or `scopes = {"GET": "read", "POST": "manage"}`; without one it is shut.

    Of several, `("read", "gate")`, one is enough. `permission = "decide"` asks for a role instead, and no key counts.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        asked, permission = request._request, getattr(view, "permission", None)
        if permission is not None:
            if asked.api_key is not None or not may(asked.membership, permission):  # type: ignore[attr-defined]
                raise PermissionDenied(refusal(permission))
            return True
        scope = getattr(view, "scopes", {}).get(request.method) or getattr(view, "scope", None)
        enough = scope if isinstance(scope, tuple) else (scope,)
        if scope is None or not any(request_has_scope(asked, one) for one in enough):
            raise PermissionDenied(f"This needs the scope {' or '.join(map(str, enough))}.")
        return True
