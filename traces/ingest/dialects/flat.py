"""Conversations spread over one attribute for each value: `llm.output_messages.0.message.tool_calls.1.…`."""

from typing import Any

from traces.ingest.otlp_span import Attributes

FILLERS = {"message", "message_content", "tool_call", "function", "tool"}
MAX_LEVELS = 8


def unflatten(attributes: Attributes, prefix: str) -> list[dict[str, Any]]:
    """Return the objects under a prefix, in the order of their numbers. No number costs more than its attribute."""
    root: dict[str, Any] = {}
    for key, value in attributes.items():
        if not key.startswith(prefix):
            continue
        *path, last = [part for part in key[len(prefix) :].split(".") if part not in FILLERS][:MAX_LEVELS] or [""]
        place = root
        for part in path:
            below = place.setdefault(part, {})
            if not isinstance(below, dict):
                break
            place = below
        else:
            place[last] = value
    return [one for one in _numbered(root) if isinstance(one, dict)]


def _numbered(found: dict[str, Any]) -> list[Any]:
    numbers = sorted((key for key in found if key.isdecimal() and len(key) < 10), key=int)
    return [_shaped(found[key]) for key in numbers]


def _shaped(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(key.isdecimal() for key in value):
        return _numbered(value)
    shaped = {key: _shaped(one) for key, one in value.items()}
    if "contents" in shaped:
        shaped["content"] = shaped["contents"]
    return shaped
