"""One short line of a body, made when it is stored, so that lists and trees never read the body itself."""

from collections.abc import Iterator
from typing import Any

import msgspec

LENGTH = 160  # characters


def of_arguments(value: Any) -> str | None:
    """Return `q: "refund 10428", limit: 50` for an object, the compact JSON for anything else."""
    if value is None:
        return None
    if not isinstance(value, dict):
        return of_text(_json(value))
    parts: list[str] = []
    room = LENGTH
    for key, item in value.items():
        part = f"{key[:LENGTH]}: {_json(item)}"
        parts.append(part)
        room -= len(part) + 2
        if room < 0:
            break
    return of_text(", ".join(parts))


def of_result(value: Any, text: str | None) -> str | None:
    """Return the text of a result: a string as it is, anything else as its JSON `text`."""
    return of_text(value if isinstance(value, str) else text)


def of_text(text: str | None) -> str | None:
    """Return the first LENGTH characters on one line, or None for a text of blanks."""
    if not text:
        return None
    if len(text) > LENGTH + 40:
        seen = text[:LENGTH]
        if seen.isprintable() and "  " not in seen and seen[0] != " ":
            return f"{seen[:-1]}…"  # as most are
    seen = text[: LENGTH + 40]
    is_line = seen.isprintable() and "  " not in seen and seen[0] != " " and seen[-1] != " "
    line = seen if is_line else " ".join(seen.split())
    if len(line) < LENGTH and len(seen) < len(text):  # much of the start is white space
        seen = text[: LENGTH * 8]
        line = " ".join(seen.split())
    if not line:
        return None
    is_whole = len(seen) == len(text) and len(line) <= LENGTH
    return line if is_whole else f"{line[: LENGTH - 1]}…"


def _json(value: Any) -> str:
    """Return the start of the compact JSON without encoding all of a huge value."""
    if isinstance(value, str):
        return msgspec.json.encode(value[:LENGTH]).decode()
    if isinstance(value, list):
        return f"[{', '.join(_first_parts(iter(value)))}]"
    if isinstance(value, dict):
        pairs = (f"{key[:LENGTH]}: {_scalar(item)}" for key, item in value.items())
        return f"{{{', '.join(_within(pairs))}}}"
    return _scalar(value)


def _first_parts(items: Iterator[Any]) -> Iterator[str]:
    return _within(_scalar(item) for item in items)


def _within(parts: Iterator[str]) -> Iterator[str]:
    room = LENGTH
    for part in parts:
        yield part
        room -= len(part) + 2
        if room < 0:
            return


def _scalar(value: Any) -> str:
    if isinstance(value, dict):
        return "{…}" if value else "{}"
    if isinstance(value, list):
        return "[…]" if value else "[]"
    return msgspec.json.encode(value[:LENGTH] if isinstance(value, str) else value).decode()
