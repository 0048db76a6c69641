"""How keys and links are made: `aop_<kind>_<key id>_<secret>_<checksum>`, and only hashes are stored."""

import hashlib
import re
import secrets
import zlib

import msgspec

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# 43 characters of 62 carry 256 bits. The checksum lets scanners tell a leaked key from a lookalike; it guards nothing.
SHAPE = re.compile(r"aop_[a-z]{1,10}_([0-9A-Za-z]{10})_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}", re.ASCII)
LONGEST = 80


class Minted(msgspec.Struct, frozen=True):
    """A new key: `token` is shown once, the rest is stored."""

    token: str
    key_id: str
    secret_hash: bytes


def mint(kind: str) -> Minted:
    key_id, secret = _random(10), _random(43)
    body = f"aop_{kind}_{key_id}_{secret}"
    token = f"{body}_{checksum(body)}"
    return Minted(token, key_id, digest(token))


def key_id_of(token: str) -> str | None:
    """Return the id inside a well-formed token. The checksum is left to scanners: all refusals take the same time."""
    match = SHAPE.fullmatch(token) if len(token) <= LONGEST else None
    return match.group(1) if match else None


def checksum(body: str) -> str:
    number = zlib.crc32(body.encode())
    digits = []
    for _ in range(6):
        number, rest = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[rest])
    return "".join(reversed(digits))


def digest(token: str) -> bytes:
    """Return the stored form. A fast hash is right here: 256 random bits cannot be guessed, and ingest is busy."""
    return hashlib.sha256(token.encode()).digest()


def link_token() -> str:
    return secrets.token_urlsafe(32)


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))
