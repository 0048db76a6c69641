"""Arguments against a JSON Schema, in microseconds and in linear time; what a schema says beyond this is not checked.

A schema comes from whoever sends traces: nothing remote is loaded, no pattern or format is tried, and work is bounded.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import msgspec

from traces.detectors.faults import Fault, shown, shown_name, under

MAX_DEPTH = 40  # of a schema; what is nested deeper is not checked
MAX_REFERENCES = 60  # one within the other, in one check
MAX_WORK = 2_000  # choices and references taken in one check; some schemas would take exponentially many


Check = Callable[[Any], Fault | None]


class Root:
    """The whole schema: what `$ref` points into, the checks of what was pointed at, and the work that is left."""

    def __init__(self, schema: Any) -> None:
        self.schema = schema
        self.checks: dict[str, Check] = {}
        self.left = 0
        self.depth = 0  # of references that are being followed

    def is_spent(self) -> bool:
        self.left -= 1
        return self.left < 0


_INFINITY = float("inf")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value not in (_INFINITY, -_INFINITY)


_IS: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: _is_number(value) and value == int(value),
    "number": _is_number,
    "boolean": lambda value: isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "null": lambda value: value is None,
}


@lru_cache(maxsize=4_096)
def check_of(schema_json: str) -> Check:
    """Return what finds the first fault of a call's arguments, for the JSON text of their schema.

    An argument beside the declared ones is a fault unless the schema allows it. An optional one may be null.
    """
    schema = msgspec.json.decode(schema_json)
    declares = isinstance(schema, dict) and isinstance(schema.get("properties"), dict)
    is_open = not declares or any(key in schema for key in _OPENING)
    root = Root(schema)
    of = _check(schema if is_open else {**schema, "additionalProperties": False}, root, MAX_DEPTH)

    def check(value: Any) -> Fault | None:
        root.left, root.depth = MAX_WORK, 0
        return of(value)

    return check


# What may say of more arguments than `properties` does.
_OPENING = ("additionalProperties", "patternProperties", "unevaluatedProperties", "anyOf", "oneOf", "allOf", "$ref")


def _check(schema: Any, root: Root, depth: int) -> Check:
    if not isinstance(schema, dict) or depth <= 0:
        return _anything
    parts = [part for make in _PARTS if (part := make(schema, root, depth - 1)) is not None]
    if not parts:
        return _anything
    if schema.get("nullable") is True:  # OpenAPI's word for it
        return lambda value: None if value is None else _first(parts, value)
    return parts[0] if len(parts) == 1 else partial(_first, parts)


def _anything(value: Any) -> None:
    return None


def _first(parts: list[Check], value: Any) -> Fault | None:
    for part in parts:
        fault = part(value)
        if fault is not None:
            return fault
    return None


def _type(schema: dict[str, Any], root: Root, depth: int) -> Check | None:
    named = schema.get("type")
    types = [named] if isinstance(named, str) else named if isinstance(named, list) else []
    if not types or not all(isinstance(name, str) and name in _IS for name in types):
        return None  # a type of another language is no type that could be broken
    tests = [_IS[name] for name in types]
    words = " or ".join(types)

    def check(value: Any) -> Fault | None:
        return None if any(test(value) for test in tests) else Fault("", f"is {shown(value)}, not of type {words}")

    return check


def _choice(schema: dict[str, Any], root: Root, depth: int) -> Check | None:
    choices = [schema["const"]] if "const" in schema else schema.get("enum")
    if not isinstance(choices, list) or not choices:
        return None

    def check(value: Any) -> Fault | None:
        # In JSON, true is not 1.
        if any(value == choice and isinstance(value, bool) == isinstance(choice, bool) for choice in choices):
            return None
        return Fault("", f"is {shown(value)}, not one of {shown(choices)}")

    return check


def _required(schema: dict[str, Any], root: Root, depth: int) -> Check | None:
    needed = _needed(schema)
    if not needed:
        return None

    def check(value: Any) -> Fault | None:
        missing = [name for name in needed if name not in value] if isinstance(value, dict) else []
        return Fault(shown_name(missing[0]), "is required and missing") if missing else None

    return check


def _members(schema: dict[str, Any], root: Root, depth: int) -> Check | None:
    declared, others = schema.get("properties"), schema.get("additionalProperties")
    declared = declared if isinstance(declared, dict) else {}
    if not declared and others in (None, True):
        return None
    other = None if others is False else _check(others, root, depth)
    part_of = _Parts(declared, other, root, depth).of
    needed = set(_needed(schema))

    def check(value: Any) -> Fault | None:
        for name, item in value.items() if isinstance(value, dict) else ():
            part = part_of(name)
            if part is None:
                return Fault(shown_name(name), "is no argument of it")
            is_left_out = item is None and name not in needed
            if not is_left_out and (fault := part(item)) is not None:
                return under(shown_name(name), fault)
        return None

    return check


class _Parts:
    """The checks of an object's members, each made when a call first gives the member: most give few of many."""

    def __init__(self, declared: dict[str, Any], other: Check | None, root: Root, depth: int) -> None:
        self._declared = declared
        self._other = other
        self._root = root
        self._depth = depth
        self._made: dict[str, Check] = {}

    def of(self, name: str) -> Check | None:
        if name not in self._declared:
            return self._other
        if name not in self._made:
            self._made[name] = _check(self._declared[name], self._root, self._depth)
        return self._made[name]


def _needed(schema: dict[str, Any]) -> list[str]:
    required = schema.get("required")
    return [name for name in required if isinstance(name, str)] if isinstance(required, list) else []


def _items(schema: dict[str, Any], root: Root, depth: int) -> Check | None:
    if not isinstance(schema.get("items"), dict):
        return None
    of = _check(schema["items"], root, depth)

    def check(value: Any) -> Fault | None:
        for place, item in enumerate(value if isinstance(value, list) else ()):
            if (fault := of(item)) is not None:
                return under(str(place), fault)
        return None

    return check


def _limits(schema: dict[str, Any], root: Root, depth: int) -> Check | None:
    limits = [
        (schema[key], measure, fits, words) for key, measure, fits, words in _LIMITS if _is_number(schema.get(key))
    ]
    if not limits:
        return None

    def check(value: Any) -> Fault | None:
        for limit, measure, fits, words in limits:
            measured = measure(value)
            if measured is not None and not fits(measured, limit):
                return Fault("", f"is {shown(value)}, {words} {limit:g}")
        return None

    return check


def _number(value: Any) -> Any:
    return value if _is_number(value) else None


def _length(value: Any) -> int | None:
    return len(value) if isinstance(value, str) else None


def _count(value: Any) -> int | None:
    return len(value) if isinstance(value, list) else None


_LIMITS: tuple[tuple[str, Callable[[Any], Any], Callable[[Any, Any], bool], str], ...] = (
    ("minimum", _number, lambda value, limit: value >= limit, "less than"),
    ("maximum", _number, lambda value, limit: value <= limit, "more than"),
    ("exclusiveMinimum", _number, lambda value, limit: value > limit, "not more than"),
    ("exclusiveMaximum", _number, lambda value, limit: value < limit, "not less than"),
    ("minLength", _length, lambda value, limit: value >= limit, "shorter than"),
    ("maxLength", _length, lambda value, limit: value <= limit, "longer than"),
    ("minItems", _count, lambda value, limit: value >= limit, "fewer than"),
    ("maxItems", _count, lambda value, limit: value <= limit, "more items than"),
)


def _any_of(schema: dict[str, Any], root: Root, depth: int) -> Check | None:
    some = schema.get("anyOf") or schema.get("oneOf")  # more than one that fits is no fault worth a person's time
    if not isinstance(some, list) or not some:
        return None
    checks = [_check(part, root, depth) for part in some]

    def check(value: Any) -> Fault | None:
        faults = []
        for of in checks:
            if root.is_spent() or (fault := of(value)) is None:
                return None
            faults.append(fault)
        return max(
            faults, key=lambda fault: len(fault.path.split(".")) if fault.path else 0
        )  # the one that came nearest

    return check


def _all_of(schema: dict[str, Any], root: Root, depth: int) -> Check | None:
    some = schema.get("allOf")
    return partial(_first, [_check(part, root, depth) for part in some]) if isinstance(some, list) and some else None


def _reference(schema: dict[str, Any], root: Root, depth: int) -> Check | None:
    """Return the check of what is pointed at within the same schema, made when it is first used: it may be itself."""
    pointer = schema.get("$ref")
    if not isinstance(pointer, str) or not pointer.startswith("#"):
        return None

    def check(value: Any) -> Fault | None:
        if root.is_spent() or root.depth >= MAX_REFERENCES:
            return None
        if pointer not in root.checks:
            root.checks[pointer] = _check(_at(root.schema, pointer), root, MAX_DEPTH)
        root.depth += 1
        fault = root.checks[pointer](value)
        root.depth -= 1
        return fault

    return check


def _at(schema: Any, pointer: str) -> Any:
    for part in pointer.removeprefix("#").split("/")[1:]:
        schema = schema.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(schema, dict) else None
    return schema


_PARTS = (_type, _choice, _required, _members, _items, _limits, _any_of, _all_of, _reference)
