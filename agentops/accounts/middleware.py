"""The one place where a request is let in: who asks, in which project, in what role."""

import time
from typing import Any
from urllib.parse import quote

import structlog
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.cache import patch_cache_control
from django.utils.deprecation import MiddlewareMixin

from agentops.accounts.access import refusal_of, unavailable_at
from agentops.accounts.authenticate import KeyRefusedError, authenticate, shown_token
from agentops.accounts.models import DRILLS_SLUG, Membership
from agentops.accounts.policy import View
from agentops.web.errors import problem_page
from agentops.web.problems import is_machine, problem, unavailable

log = structlog.get_logger(__name__)

CHOSEN = "project"
STARTED_AT, SEEN_AT = "started_at", "seen_at"
SEEN_EVERY_S = 300
RETRY_AFTER_S = "2"


class ProjectMiddleware(MiddlewareMixin):
    """Deny by default: a view is reached with a key, or signed in as a member, or because it says `@public`.

    It stands before the CSRF check, so that who is not signed in is told so. Costs one query for a person.
    """

    def process_request(self, request: HttpRequest) -> None:
        request.project = request.membership = request.api_key = None  # type: ignore[attr-defined]
        request.memberships = []  # type: ignore[attr-defined]

    def process_view(
        self, request: HttpRequest, view: View, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HttpResponseBase | None:
        if getattr(view, "is_public", False):
            return None
        try:
            return self._admit_program(request, view) if is_machine(request) else self._admit_person(request)
        except KeyRefusedError as error:
            return refusal_of(view, request, error)
        except (OperationalError, InterfaceError) as error:
            return self._say_unavailable(request, view, error)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        """Say that the database does not answer, where that is why a view failed; anything else goes on to be a 500."""
        if not isinstance(exception, OperationalError | InterfaceError) or request.resolver_match is None:
            return None
        return self._say_unavailable(request, request.resolver_match.func, exception)

    def _say_unavailable(self, request: HttpRequest, view: View, error: Exception) -> HttpResponseBase:
        log.warning("database_unavailable", error=str(error).strip())
        if is_machine(request):
            return unavailable_at(view, request)
        response = problem_page(request, 503)
        response["Retry-After"] = RETRY_AFTER_S
        return response

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        unknown = request.resolver_match is None and response.status_code == 404
        unknown_page = unknown and not request.path_info.startswith(settings.STATIC_URL)
        if unknown_page:
            # An address that leads nowhere looks to strangers like all others.
            response = self._answer_to_strangers(request) or response
        # A page that nothing is at shows a signed-in person's navigation too.
        if unknown_page or getattr(request, "project", None) is not None or request.path_info.startswith("/accounts/"):
            patch_cache_control(response, no_store=True)
        return response

    def _answer_to_strangers(self, request: HttpRequest) -> HttpResponseBase | None:
        """Return what a stranger gets at an address that does not exist; None for who may know that it does not."""
        try:
            if is_machine(request) and authenticate(request) is not None:
                return None
        except KeyRefusedError as error:
            return problem(error.status, detail=error.detail)
        except (OperationalError, InterfaceError):
            return unavailable()
        return None if request.user.is_authenticated else self._send_away(request)

    def _admit_program(self, request: HttpRequest, view: View) -> HttpResponseBase | None:
        """A key decides alone: a cookie beside it counts for nothing, a wrong key is never saved by one."""
        if authenticate(request) is not None:
            return None
        if hasattr(view, "refuse"):
            return None  # a door for keys: it answers in its own words
        return self._admit_session(request)

    def _admit_person(self, request: HttpRequest) -> HttpResponseBase | None:
        if shown_token(request) is not None:
            return problem(403, detail="API keys open the API; pages need a person who is signed in.")
        return self._admit_session(request)

    def _admit_session(self, request: HttpRequest) -> HttpResponseBase | None:
        if not request.user.is_authenticated or session_is_over(request):
            return self._send_away(request)
        memberships = list(
            Membership.objects.filter(user_id=request.user.pk).select_related("project").order_by("project__name", "id")
        )
        if not memberships:
            detail = "You belong to no project. Ask an admin to add you to one."
            if is_machine(request):
                return problem(403, detail=detail)
            return render(request, "accounts/no_project.html", {"detail": detail}, status=403)
        # Where nothing was chosen, nobody means the project of drills.
        memberships.sort(key=lambda one: one.project.slug == DRILLS_SLUG)
        chosen = request.session.get(CHOSEN)
        membership = next((one for one in memberships if str(one.project_id) == chosen), memberships[0])
        membership.user = request.user
        request.membership, request.memberships = membership, memberships  # type: ignore[attr-defined]
        request.project = membership.project  # type: ignore[attr-defined]
        return None

    def _send_away(self, request: HttpRequest) -> HttpResponseBase:
        if is_machine(request):
            return problem(401, detail="Sign in, or send an API key: Authorization: Bearer <key>.")
        after = request.get_full_path() if request.method == "GET" else "/"
        return HttpResponseRedirect(f"{settings.LOGIN_URL}?next={quote(after, safe='')}")


def session_is_over(request: HttpRequest) -> bool:
    """End a session that was idle or lived for too long; else note, at most every five minutes, that it is in use."""
    now, session = int(time.time()), request.session
    started, seen = session.get(STARTED_AT), session.get(SEEN_AT)
    if started is None or seen is None:
        session[STARTED_AT] = session[SEEN_AT] = now
        return False
    if now - started > settings.SESSION_COOKIE_AGE or now - seen > settings.SESSION_IDLE_S:
        session.flush()
        request.user = AnonymousUser()
        return True
    if now - seen > SEEN_EVERY_S:
        session[SEEN_AT] = now
    return False
