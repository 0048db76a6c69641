"""Repairs that let a bad text through without harm: NUL, lone surrogates, invalid UTF-8, over-long text."""

import re
from typing import Any

MAX_TEXT = 1_000_000  # characters of one text; the rest is cut, and said so
MAX_ATTRIBUTES = 256_000  # characters of the JSON of one span's attributes
MAX_NAME = 200  # characters of a name that is shown in lists and kept in indexes

NESTING = frozenset({dict, list})
REPLACEMENT = "\ufffd"
_MARKER = re.compile(r"… \[cut: ([\d,]{1,20}) characters\]", re.ASCII)

# A valid pair, or a backslash that escapes something else, is matched first and kept; what is left is a lone half.
_ESCAPES = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\[^u]|\x00"
)
_NUL = re.compile(rb"\\u0000")  # twice as fast here as `in`


def repair_json(body: bytes) -> bytes:
    r"""Return JSON text in which lone surrogates, invalid UTF-8 and raw NULs are the escape \u0000.

    That escape is what `clean` replaces, item by item, so that each repaired item is known. Linear time.
    """
    try:
        body.decode()
    except UnicodeDecodeError:
        text = body.decode(errors="surrogateescape")
        body = re.sub("[\udc80-\udcff]+", r"\\u0000", text).encode()
    return _ESCAPES.sub(lambda m: b"\\u0000" if m[1] or m[0] == b"\x00" else m[0], body)


def may_need_cleaning(raw: bytes) -> bool:
    """Say whether a JSON text can hold a NUL at all; false for nearly every item."""
    return _NUL.search(raw) is not None


def clean(value: Any) -> Any:
    """Return a decoded JSON value with NULs replaced by U+FFFD, in keys too. Raises RecursionError when too deep."""
    if isinstance(value, str):
        return value.replace("\x00", REPLACEMENT)
    if isinstance(value, list):
        return [clean(item) for item in value]
    if isinstance(value, dict):
        return {clean(key): clean(item) for key, item in value.items()}
    return value


def may_be_deeper(json: str | bytes, limit: int) -> bool:
    """Say whether a JSON text opens more than `limit` lists and objects at all; false for nearly every value."""
    if len(json) <= 2 * limit:
        return False
    if isinstance(json, bytes):
        return json.count(b"{") + json.count(b"[") > limit
    return json.count("{") + json.count("[") > limit


def is_deeper(value: Any, limit: int) -> bool:
    """Say whether lists and objects are nested more than `limit` deep."""
    level = [value] if type(value) in NESTING else []
    for _ in range(limit):
        if not level:
            return False
        level = [
            below
            for item in level
            for below in (item.values() if type(item) is dict else item)
            if type(below) in NESTING
        ]
    return bool(level)


def cut(text: str, limit: int = MAX_TEXT) -> str:
    """Return the text, or its first `limit` characters and a marker with the original size.

    What was cut before, as an export holds it, stays as it is.
    """
    if len(text) <= limit or is_cut(text, limit):
        return text
    return f"{text[:limit]}… [cut: {len(text):,} characters]"


def is_cut(text: str, limit: int = MAX_TEXT) -> bool:
    """Say whether a text was cut before."""
    return len(text) > limit and _MARKER.fullmatch(text, limit) is not None


def whole_size(text: str, limit: int = MAX_TEXT) -> int:
    """Return how many characters a text had before it was cut."""
    marker = _MARKER.fullmatch(text, limit) if len(text) > limit else None
    return int(marker[1].replace(",", "")) if marker else len(text)
