"""Opening the door to a program: from a request's headers to a usable API key."""

import hmac
import threading
import time
from base64 import b64decode
from datetime import timedelta
from urllib.parse import unquote_plus
from uuid import UUID

import msgspec
import structlog
from django.db import DatabaseError, models, transaction
from django.db.models.functions import Now
from django.http import HttpRequest

from agentops.accounts.models import ApiKey, Membership
from agentops.accounts.secrets import SHAPE, digest, key_id_of
from agentops.web.peer import client_ip

log = structlog.get_logger(__name__)

CACHED_S = 3.0  # a revoked key is refused by every process within 5 s
CACHED_KEYS = 1_000
USED_EVERY_S = 60.0
BASIC_PATHS = ("/v1/", "/api/public/otel/")
_NO_KEY = bytes(32)


class KeyRefusedError(Exception):
    """No key opens this door: `status` is 400 for a request that must be written differently, else 401."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


class Verified(msgspec.Struct, frozen=True):
    key: ApiKey
    membership: Membership
    until: float


_lock = threading.Lock()
_verified: dict[bytes, Verified] = {}
_used_at: dict[str, float] = {}


def authenticate(request: HttpRequest) -> ApiKey | None:
    """Return the key this request shows, or None when it shows none. Raises KeyRefusedError.

    Sets `request.api_key`, `project`, `membership` and `user` (the key's maker: what a key does counts as done by
    them). Costs two queries, none for a key seen in the last three seconds.
    """
    token = shown_token(request)
    if token is None:
        return None
    verified = _verify(token)
    if verified is None:
        raise KeyRefusedError(401, "The API key is unknown, expired or revoked.")
    key = verified.key
    request.api_key, request.project, request.membership = key, key.project, verified.membership  # type: ignore[attr-defined]
    request.user = key.created_by
    _note_use(key, client_ip(request))
    return key


def shown_token(request: HttpRequest) -> str | None:
    """Return what the request shows as its key, well-formed or not.

    Raises KeyRefusedError for two keys and for a key in the address.
    """
    if "aop_" in request.META.get("QUERY_STRING", "") and SHAPE.search(unquote_plus(request.META["QUERY_STRING"])):
        raise KeyRefusedError(400, "Send the API key in a header, never in the address; revoke this one.")
    authorization, plain = request.headers.get("Authorization"), request.headers.get("X-Api-Key")
    if authorization is not None and plain is not None:
        raise KeyRefusedError(400, "Send one of Authorization and X-Api-Key, not both.")
    if plain is not None:
        return plain.strip()
    if authorization is None:
        return None
    # Servers join repeated headers with a comma; no key holds one.
    if "," in authorization and authorization.lower().count("bearer ") > 1:
        raise KeyRefusedError(400, "Send one Authorization header.")
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    # Another scheme is no key of ours: a proxy in front may ask people for Basic credentials.
    return _key_in_basic(token) if scheme.lower() == "basic" and request.path_info.startswith(BASIC_PATHS) else None


def _key_in_basic(credentials: str) -> str | None:
    """Return the key among Basic credentials, the only ones that some OTLP clients send; None when it is no key."""
    try:
        user, _, password = b64decode(credentials, validate=True).decode().partition(":")
    except ValueError:
        return None
    return next((one for one in (password, user) if SHAPE.fullmatch(one)), None)


def project_seen(token: str) -> UUID | None:
    """Return the project of a key that opened a door here lately; None for any other. Costs no query, admits nobody."""
    verified = _verified.get(digest(token))
    return verified.key.project_id if verified else None


def forget_verified() -> None:
    """Ask the database again from now on in this process, e.g. after a key was revoked."""
    with _lock:
        _verified.clear()


def _verify(token: str) -> Verified | None:
    key_id = key_id_of(token)
    if key_id is None:
        return None
    shown = digest(token)
    now = time.monotonic()
    # Keyed by the whole secret's hash, so that a wrong secret never profits from the cache: no timing to learn from.
    cached = _verified.get(shown)
    if cached and cached.until > now:
        return cached
    key = ApiKey.objects.usable().select_related("project", "created_by").filter(key_id=key_id).first()
    if not hmac.compare_digest(bytes(key.secret_hash) if key else _NO_KEY, shown) or key is None:
        return None
    membership = Membership.objects.of(key.project).filter(user=key.created_by).first()
    if membership is None:
        return None
    verified = Verified(key, membership, now + CACHED_S)
    with _lock:
        if len(_verified) >= CACHED_KEYS:
            _verified.clear()
        _verified[shown] = verified
    return verified


def _note_use(key: ApiKey, ip: str | None) -> None:
    """Write last_used at most once a minute; a door never stays shut because of it."""
    now = time.monotonic()
    with _lock:
        if now < _used_at.get(key.key_id, 0.0):
            return
        if len(_used_at) >= CACHED_KEYS:
            _used_at.clear()
        _used_at[key.key_id] = now + USED_EVERY_S
    stale = models.Q(last_used_at=None) | models.Q(last_used_at__lt=Now() - timedelta(seconds=USED_EVERY_S))
    try:
        with transaction.atomic():
            ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=Now(), last_used_ip=ip)
    except DatabaseError as error:
        log.warning("key_use_not_noted", key_id=key.key_id, error=str(error))
