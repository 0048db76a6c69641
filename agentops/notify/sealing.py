"""Secrets at rest: sealed with AGENTOPS_ENCRYPTION_KEY, opened only to send."""

import base64
import hashlib
from functools import lru_cache

import msgspec
from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

Secrets = dict[str, str]


class UnreadableError(Exception):
    """The secrets were sealed with another key."""


def seal(secrets: Secrets) -> bytes:
    return _box(settings.ENCRYPTION_KEY).encrypt(msgspec.json.encode(secrets)) if secrets else b""


def unseal(sealed: bytes) -> Secrets:
    """Return the secrets. Raises UnreadableError."""
    if not sealed:
        return {}
    try:
        return msgspec.json.decode(_box(settings.ENCRYPTION_KEY).decrypt(sealed), type=Secrets)
    except (InvalidToken, msgspec.MsgspecError):
        raise UnreadableError from None


@lru_cache(maxsize=2)
def _box(key: str) -> Fernet:
    """Make a key of the right form from any long random text; hashed with a name, so that it serves this room alone."""
    if not key:
        raise ImproperlyConfigured("Set AGENTOPS_ENCRYPTION_KEY: without it no secret of a channel can be kept.")
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(b"agentops.notify.secrets\0" + key.encode()).digest()))
