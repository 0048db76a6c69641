"""Checking a call against the tools there are: every fault is named by its place, beside the schema that is valid."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

if TYPE_CHECKING:
    import jsonschema

MOST_FAULTS = 20
LONGEST_GOT = 200  # characters of a value that is shown back
MISSING = "nothing"


class HasSchema(Protocol):
    @property
    def schema(self) -> dict[str, Any]: ...


def refusal(tools: Mapping[str, HasSchema], tool: str, arguments: Any) -> dict[str, Any] | None:
    """Return what is wrong with a call, as a tool result the model can act on, or None."""
    if tool not in tools:
        return {
            "status": "unknown_tool",
            "tool": tool,
            "reason": f"There is no tool of the name {tool!r}.",
            "did_you_mean": get_close_matches(tool, tools, n=3),
            "tools": sorted(tools),
        }
    schema = tools[tool].schema
    faults = list(_faults(schema, arguments))
    if not faults:
        return None
    return {
        "status": "invalid_arguments",
        "tool": tool,
        "reason": f"{len(faults)} of the arguments do not fit the schema. Nothing was done.",
        "errors": faults[:MOST_FAULTS],
        "schema": schema,
    }


def _faults(schema: dict[str, Any], arguments: Any) -> Iterable[dict[str, Any]]:
    from jsonschema import Draft202012Validator  # a tenth of what a process loads, and most never need it

    validator = Draft202012Validator(schema)
    found = sorted(validator.iter_errors(arguments), key=lambda error: [str(part) for part in error.absolute_path])
    for error in found:
        yield from _told(error)


def _told(error: "jsonschema.ValidationError") -> Iterable[dict[str, Any]]:
    place = list(error.absolute_path)
    if error.validator == "required":
        for name in error.validator_value:
            if name not in error.instance:
                expected = error.schema.get("properties", {}).get(name, "a value")
                yield _fault([*place, name], f"{name} is required", MISSING, expected)
    elif error.validator == "additionalProperties" and error.validator_value is False:
        known = error.schema.get("properties", {})
        for name in error.instance:
            if name not in known:
                yield _fault([*place, name], f"{name} is no argument", _short(error.instance[name]), sorted(known))
    else:
        yield _fault(place, _cut(error.message), _short(error.instance), {error.validator: error.validator_value})


def _fault(place: list[Any], problem: str, got: Any, expected: Any) -> dict[str, Any]:
    path = "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in place)
    return {"path": path, "problem": problem, "got": got, "expected": expected}


def _short(value: Any) -> Any:
    text = msgspec.json.encode(value).decode()
    return value if len(text) <= LONGEST_GOT else _cut(text)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_GOT else f"{text[:LONGEST_GOT]}…"
