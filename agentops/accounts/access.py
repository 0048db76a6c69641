"""What a view says about who may knock: everything needs a sign-in or a key unless it says otherwise here."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from agentops.accounts.authenticate import KeyRefusedError
from agentops.accounts.policy import View, request_has_scope
from agentops.web.problems import UNAVAILABLE, problem, unavailable

Refuse = Callable[[HttpRequest, int, str], HttpResponseBase]


def public(view: View) -> View:
    """Open a view to everybody. The list of public routes is pinned by a test."""

    @wraps(view)
    def opened(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return view(request, *args, **kwargs)

    opened.is_public = True  # type: ignore[attr-defined]
    return opened


def refuse_with_problem(request: HttpRequest, status: int, detail: str) -> HttpResponseBase:
    return problem(status, detail=detail)


def key_door(scope: str, *, refuse: Refuse = refuse_with_problem) -> Callable[[View], View]:
    """Make a plain view a door for programs: an API key with the scope, never a session; no CSRF token.

    A door that speaks another dialect says with `refuse` how its errors are written.
    """

    def decorate(view: View) -> View:
        @csrf_exempt
        @wraps(view)
        def door(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if getattr(request, "api_key", None) is None:
                return refuse(request, 401, "Send an API key: Authorization: Bearer <key>.")
            if not request_has_scope(request, scope):
                return refuse(request, 403, f"This API key may not do that: it lacks the scope {scope}.")
            return view(request, *args, **kwargs)

        door.refuse = refuse  # type: ignore[attr-defined]
        return door

    return decorate


def unavailable_at(view: View, request: HttpRequest) -> HttpResponseBase:
    """Say in the words of the view that the database is away."""
    refuse: Refuse = getattr(view, "refuse", refuse_with_problem)
    return unavailable() if refuse is refuse_with_problem else refuse(request, 503, UNAVAILABLE)


def refusal_of(view: View, request: HttpRequest, error: KeyRefusedError) -> HttpResponseBase:
    refuse: Refuse = getattr(view, "refuse", refuse_with_problem)
    return refuse(request, error.status, error.detail)
