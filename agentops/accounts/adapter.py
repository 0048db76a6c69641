"""How sign-in by password behaves: no sign-up, limits that an attacker cannot turn against their victim."""

import hashlib
import secrets
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.core import signing
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme

from agentops.accounts import trail
from agentops.web.peer import client_ip

DEVICE_COOKIE = "device"
DEVICE_AGE_S = 180 * 24 * 3600
_SALT = "agentops.accounts.device"


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Failures are counted by account and by real peer. A browser that has signed in before has a count of its own:

    who guesses at somebody's password from elsewhere locks out other strangers, never the owner's known browser.
    """

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def get_client_ip(self, request: HttpRequest) -> str:
        return client_ip(request) or "local"

    def is_safe_url(self, url: str) -> bool:
        return bool(url) and url_has_allowed_host_and_scheme(url, allowed_hosts=None)

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        try:
            super().pre_authenticate(request, **credentials)
        except ValidationError:
            trail.sign_in_throttled(request, credentials.get("email", ""))
            raise

    def authenticate(self, request: HttpRequest, **credentials: Any) -> Any:
        user = super().authenticate(request, **credentials)
        # A disabled account is refused in the words of a wrong password.
        return user if user is not None and user.is_active else None

    def post_login(self, request: HttpRequest, user: Any, **kwargs: Any) -> HttpResponseBase:
        response: HttpResponseBase = super().post_login(request, user, **kwargs)
        remember_device(request, response, user.email)
        return response

    def add_message(self, *args: Any, **kwargs: Any) -> None:
        """The page that follows speaks for itself."""

    def send_notification_mail(self, *args: Any, **kwargs: Any) -> None:
        """No mail is sent before a channel for it is configured; the trail holds what happened."""

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        email = credentials.get("email", "").lower()
        return f"{email}|{known_device(request, email)}"


def remember_device(request: HttpRequest, response: HttpResponseBase, email: str) -> None:
    """Mark this browser as one from which this account has signed in."""
    device = known_device(request, email) or secrets.token_hex(8)
    value = signing.dumps({"account": _account(email), "device": device}, salt=_SALT)
    secure = settings.SESSION_COOKIE_SECURE
    response.set_cookie(_cookie(), value, max_age=DEVICE_AGE_S, httponly=True, samesite="Lax", secure=secure)


def known_device(request: HttpRequest, email: str) -> str:
    try:
        said = signing.loads(request.COOKIES.get(_cookie(), ""), salt=_SALT, max_age=DEVICE_AGE_S)
    except signing.BadSignature:
        return ""
    return said["device"] if said["account"] == _account(email) else ""


def _cookie() -> str:
    return f"__Host-{DEVICE_COOKIE}" if settings.SESSION_COOKIE_SECURE else DEVICE_COOKIE


def _account(email: str) -> str:
    return hashlib.sha256(email.lower().encode()).hexdigest()[:32]


def too_many(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer 429 for a peer that asks too often, whatever the account."""
    trail.sign_in_throttled(request, getattr(request.user, "email", "") or request.POST.get("login", ""))
    response = render(request, "accounts/too_many.html", status=429)
    response["Retry-After"] = "60"
    return response
