"""Ids of the wire: a trace has 128 bits, a step that came without an id gets one from its number."""

from functools import lru_cache
from hashlib import blake2b, sha256
from uuid import UUID

HEX = frozenset("0123456789abcdef")


@lru_cache(maxsize=4_096)  # a batch names the same few traces again and again
def trace_key(value: str) -> tuple[UUID, str | None]:
    """Return the 128-bit id for a sender's string, and the string itself where it is no hex id.

    Dashes are stripped and letters lowered; anything but 32 hex digits is mapped by SHA-256, first 128 bits.
    """
    digits = value.replace("-", "").lower()
    if len(digits) == 32 and HEX.issuperset(digits):
        return UUID(digits), None
    return UUID(bytes=sha256(value.encode()).digest()[:16]), value


def span_key(trace: UUID, step_number: int) -> str:
    """Return the span id, 16 hex digits, of a step that came without one."""
    return blake2b(trace.bytes + step_number.to_bytes(8, "big"), digest_size=8).hexdigest()
