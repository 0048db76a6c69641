"""Labelled runs in words that mean nothing, to see whether a detector leans on the names and texts of a source."""

import re
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import msgspec

_WORD = re.compile(r"[A-Za-z]+")
_CONSONANTS, _VOWELS = "bdfgklmnprstvz", "aeiou"
_LETTERS = 6  # of a made-up word

Replace = Callable[[str], str]


def nonsense(line: bytes) -> bytes:
    """Return a run whose source, tool names and error texts are made up, the same word always by the same one.

    A tool's name is replaced in texts and arguments too, where it cannot be a plain word.
    """
    run = msgspec.json.decode(line)
    run["source"] = made_up(run.get("source") or "")
    steps = run.get("steps") or []
    called = [step.get("tool_name") for step in steps]
    rename = _renaming({name for name in [*(tool["name"] for tool in run.get("tools") or []), *called] if name})
    for tool in run.get("tools") or []:
        tool["name"] = made_up(tool["name"])
    for step in steps:
        _replace_in(step, rename)
    return msgspec.json.encode(run)


def made_up(text: str) -> str:
    """Return a text with each of its words replaced; what is no letter stays."""
    return _WORD.sub(lambda found: _word(found[0]), text)


def _replace_in(step: dict[str, Any], rename: Replace) -> None:
    failed = bool(step.get("is_error")) or step.get("event_type") == "error"
    for name in ("tool_input", "tool_output", "text", "error"):
        is_error_text = name == "error" or (failed and name in ("tool_output", "text"))
        if step.get(name) is not None:
            step[name] = _mapped(step[name], made_up if is_error_text else rename)
    if step.get("tool_name"):
        step["tool_name"] = made_up(step["tool_name"])


def _renaming(names: set[str]) -> Replace:
    """Return what replaces those of the names in a text that hold more than letters."""
    telling = sorted((name for name in names if not name.isalpha()), key=len, reverse=True)
    if not telling:
        return lambda text: text
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, telling))})(?!\w)")

    def rename(text: str) -> str:
        # A look for each name is much faster than the pattern, and few texts hold one.
        return pattern.sub(lambda found: made_up(found[0]), text) if any(name in text for name in telling) else text

    return rename


def _mapped(value: Any, replace: Replace) -> Any:
    if isinstance(value, str):
        return replace(value)
    if isinstance(value, list):
        return [_mapped(item, replace) for item in value]
    if isinstance(value, dict):
        return {key: _mapped(item, replace) for key, item in value.items()}
    return value


def _word(word: str) -> str:
    bits = int.from_bytes(blake2b(word.lower().encode(), digest_size=8).digest(), "big")
    letters = []
    for place in range(_LETTERS):
        some = _VOWELS if place % 2 else _CONSONANTS
        bits, which = divmod(bits, len(some))
        letters.append(some[which])
    made = "".join(letters)
    return made.upper() if word.isupper() and len(word) > 1 else made.capitalize() if word[0].isupper() else made
