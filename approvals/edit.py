"""The form in which a person edits an action's arguments: a field for each where the tool's schema says what it is."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from agentops.web.hostile import reveal
from approvals.models import Action

PREFIX = "argument:"
LONG = 80  # characters; a longer text gets several lines
NUMBERS = {"integer": "1", "number": "any"}
FLAGS = {"true": True, "false": False}


class EditError(ValueError):
    """The form cannot be read; the message says what would be right."""


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One argument in the form; `kind` is text, lines, number, flag, choice, or json for anything else."""

    name: str
    kind: str
    text: str  # what stands in it
    choices: list[tuple[str, bool]] = []  # JSON, and whether it is chosen
    about: str = ""
    step: str = ""
    is_required: bool = False
    is_given: bool = True

    @property
    def key(self) -> str:
        return f"{PREFIX}{self.name}"

    @property
    def may_be_empty(self) -> bool:
        """Say whether nothing written in it means an empty text, rather than no argument."""
        return self.is_required or (self.is_given and not self.text)


def fields(action: Action, sent: Mapping[str, str] | None = None) -> list[Field]:
    """Return the fields of an action whose tool has a schema with properties; else none: then it is edited as JSON.

    They hold the action's arguments, or what was sent in a form that was refused.
    """
    properties = _properties(action)
    if not properties or any(map(_is_strange, [*properties, *action.parsed_arguments])):
        return []
    given, required = action.parsed_arguments, (action.schema or {}).get("required")
    wanted = set(required) if isinstance(required, list) else set()
    names = [*given, *(name for name in properties if name not in given)]
    found = [_field(name, properties.get(name), given, name in wanted) for name in names]
    return [_refilled(field, sent) for field in found] if sent else found


def _refilled(field: Field, sent: Mapping[str, str]) -> Field:
    text = sent.get(field.key, field.text)
    return msgspec.structs.replace(field, text=text, choices=[(json_, json_ == text) for json_, _ in field.choices])


def as_json(value: Any) -> str:
    """Return a value as JSON for a field, with every hidden or foreign character by its number."""
    return json.dumps(value, indent=2)


def read(sent: Mapping[str, str], action: Action) -> dict[str, Any]:
    """Return the arguments of a sent form. Raises EditError."""
    found: dict[str, Any] = {}
    for field in fields(action):
        text = sent.get(field.key, "").replace("\r\n", "\n")
        is_text = field.kind in {"text", "lines"}
        if text or (is_text and field.may_be_empty):
            found[field.name] = text if is_text else _value(text, field)
    return found


def read_object(text: str) -> dict[str, Any]:
    """Return a JSON object in which no name stands twice. Raises EditError."""
    try:
        found = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise EditError(f"must be a JSON object: {error}") from None
    if not isinstance(found, dict):
        raise EditError("must be a JSON object")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in it")
    return found


def _value(text: str, field: Field) -> Any:
    if field.kind == "flag":
        return FLAGS.get(text, text)
    try:
        return json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise EditError(f"{field.name}: must be {'a number' if field.kind == 'number' else 'JSON'}") from None


def _is_strange(text: str) -> bool:
    """Say whether a text would come back from a form as another one, or not be seen in it."""
    return "\r" in text or reveal(text).is_suspicious


def _properties(action: Action) -> dict[str, Any]:
    found = (action.schema or {}).get("properties")
    return found if isinstance(found, dict) else {}


def _field(name: str, schema: Any, given: dict[str, Any], is_required: bool) -> Field:
    schema = schema if isinstance(schema, dict) else {}
    value, is_given = given.get(name), name in given
    kind, text = _kind(schema, value, is_given)
    choices = _choices(schema, value, is_given) if kind == "choice" else []
    return Field(
        name=name,
        kind=kind,
        text=text,
        choices=choices,
        about=str(schema.get("description") or ""),
        step=NUMBERS.get(str(schema.get("type")), ""),
        is_required=is_required,
        is_given=is_given,
    )


def _kind(schema: dict[str, Any], value: Any, is_given: bool) -> tuple[str, str]:
    """Return the kind of a field, and its text; what does not fit the schema's type is edited as JSON."""
    wanted = schema["type"] if isinstance(schema.get("type"), str) else ""
    options = schema.get("enum")
    text = as_json(value) if is_given else ""
    if isinstance(options, list) and text in {"", *map(as_json, options)}:
        return "choice", ""
    if wanted == "boolean" and text in {"", *FLAGS}:
        return "flag", text
    if wanted in NUMBERS and (not is_given or (isinstance(value, int | float) and not isinstance(value, bool))):
        return "number", text
    if wanted == "string" and (not is_given or (isinstance(value, str) and not _is_strange(value))):
        plain = value or ""
        return ("lines" if len(plain) > LONG or "\n" in plain or "\t" in plain else "text"), plain
    return "json", text


def _choices(schema: dict[str, Any], value: Any, is_given: bool) -> list[tuple[str, bool]]:
    return [(as_json(option), is_given and as_json(option) == as_json(value)) for option in schema["enum"]]
