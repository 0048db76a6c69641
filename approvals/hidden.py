"""What an action hides from the eye: invisible characters and letters that pass for others, wherever they stand."""

from collections.abc import Iterator
from typing import Any

import msgspec

from agentops.web.hostile import reveal
from approvals.models import Action

SHORT = 200  # characters; a longer text is prose, which people neither act on nor type


class Hidden(msgspec.Struct, frozen=True, kw_only=True):
    """Where something is hidden, and what has to be typed to approve all the same; empty: nothing."""

    places: list[str]
    phrase: str


def hidden_in(action: Action) -> Hidden | None:
    """Return what is hidden in an action; None where all of it is what it looks like."""
    found = [(place, shown.spelled) for place, text in _texts(action) if (shown := reveal(text)).is_suspicious]
    if not found:
        return None
    short = [text for _, text in found if len(text) <= SHORT]
    return Hidden(places=list(dict.fromkeys(place for place, _ in found)), phrase=_target(action, short))


def _target(action: Action, short: list[str]) -> str:
    """Return the target where that is what hides something, else the shortest text that does."""
    target = reveal(str((action.preview or {}).get("target") or "")).spelled
    return target if target in short else min(short, key=len, default="")


def _texts(action: Action) -> Iterator[tuple[str, str]]:
    yield "the tool's name", action.tool_name
    for name, value in (action.preview or {}).items():
        yield from ((f"the preview's {name}", text) for text in _strings(value))
    for name, value in action.parsed_arguments.items():
        yield "the name of an argument", name
        yield from ((name, text) for text in _strings(value))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inside in value.items():
            yield name
            yield from _strings(inside)
    elif isinstance(value, list):
        for inside in value:
            yield from _strings(inside)
