"""How many values a body holds, counted before it is decoded: each takes a hundred bytes, sent in two."""

import re
from collections.abc import Iterable
from itertools import islice

MAX_VALUES = 1_000_000  # of one body; 20,000 full steps have half as many
SPARSE = 4 * 1024 * 1024  # bytes in which no protobuf holds values enough to matter
TOO_MANY = f"The body holds more than {MAX_VALUES:,} values; send it in smaller batches."

# What separates values, and the strings in which it does not. Possessive, and a string may lack its end: linear time.
_SEPARATOR = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|([,\[{])', re.DOTALL)
# A field of bytes of at most eight, as small messages are nested: its tag, then its length.
_SMALL_FIELD = re.compile(rb"[\x0a\x12\x1a\x22\x2a\x32\x3a\x42\x4a\x52\x5a\x62\x6a\x72\x7a][\x00-\x08]")


def is_json_too_dense(body: bytes) -> bool:
    """Say whether a JSON text holds more than MAX_VALUES. Only one that might is looked at without its strings."""
    if len(body) < 2 * MAX_VALUES:  # a value and what separates it from the next
        return False
    if body.count(b",") + body.count(b"[") + body.count(b"{") <= MAX_VALUES:
        return False
    return _is_long(match for match in _SEPARATOR.finditer(body) if match.lastindex)


def is_protobuf_too_dense(body: bytes) -> bool:
    """Say whether a protobuf message seems to hold more than MAX_VALUES small ones. A guess, good to some percent."""
    return len(body) > SPARSE and _is_long(_SMALL_FIELD.finditer(body))


def _is_long(found: Iterable[object]) -> bool:
    return next(islice(found, MAX_VALUES, None), None) is not None
