"""What breaks a schema, and the words for it."""

from typing import Any, NamedTuple

import msgspec

SHOWN_CHARS = 40  # of a value, in the words that name a fault


class Fault(NamedTuple):
    """Where a value breaks its schema, as a dotted path, and what is wrong there."""

    path: str
    problem: str

    def __str__(self) -> str:
        return f"{self.path} {self.problem}" if self.path else self.problem


def under(name: str, fault: Fault) -> Fault:
    return Fault(f"{name}.{fault.path}" if fault.path else name, fault.problem)


def shown(value: Any) -> str:
    return _short(msgspec.json.encode(value).decode())


def shown_name(name: str) -> str:
    return _short(name) if name else '""'


def _short(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…"
