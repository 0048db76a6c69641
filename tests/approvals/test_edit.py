"""The form to edit arguments: whatever they are, leaving it as it is leaves them as they are."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from approvals.digest import ArgumentsError, canonical
from approvals.edit import EditError, Field, as_json, fields, read, read_object
from approvals.models import Action

TYPES = st.sampled_from(["string", "integer", "number", "boolean", "array", "object", ["string", "null"], None, 7])
STRANGE = st.sampled_from(["", " ", "a\nb", "\n", "a\r\nb", "\u200b", "true", "\x00"])
TEXT = st.text(st.characters(codec="utf-8")) | STRANGE
NAMES = st.sampled_from("abcd")  # one that hides something has no fields at all
NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-1e15, 1e15) | st.just(1e22)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(TEXT, inside, max_size=3),
    max_leaves=6,
)
SCHEMAS = st.fixed_dictionaries({}, optional={"type": TYPES, "enum": st.lists(VALUES, max_size=3), "description": TEXT})


def action(arguments: dict[str, Any], schema: Any = None) -> Action:
    return Action(tool_name="tool", arguments=canonical(arguments), schema=schema)


def as_sent(field: Field) -> str:
    """What a browser sends for a field that nobody touched."""
    if field.kind == "choice":
        chosen = [text for text, is_chosen in field.choices if is_chosen]
        return chosen[0] if chosen else ""
    if field.kind in {"lines", "json"}:
        return field.text.replace("\n", "\r\n")
    assert "\n" not in field.text
    return field.text


@settings(deadline=None)
@given(st.dictionaries(NAMES, st.tuples(VALUES, SCHEMAS, st.booleans(), st.booleans()), max_size=4))
def test_a_form_that_nobody_touched_sends_what_was_there(cases: dict[str, tuple[Any, Any, bool, bool]]) -> None:
    arguments = {name: value for name, (value, _, is_given, _) in cases.items() if is_given}
    properties = {name: schema for name, (_, schema, _, _) in cases.items()}
    required = [name for name, (_, _, is_given, is_required) in cases.items() if is_given and is_required]
    subject = action(arguments, {"properties": properties, "required": required})
    found = fields(subject)
    if found:
        sent = {field.key: as_sent(field) for field in found}
        assert canonical(read(sent, subject)) == subject.arguments
    assert canonical(read_object(as_json(subject.parsed_arguments).replace("\n", "\r\n"))) == subject.arguments


def test_a_schema_without_properties_is_edited_as_json() -> None:
    for schema in (None, {}, {"type": "object"}, {"properties": {}}, {"properties": "none"}):
        assert fields(action({"a": 1}, schema)) == []


def test_a_name_that_hides_something_is_edited_as_json_where_it_shows() -> None:
    assert fields(action({"a\u200b": 1}, {"properties": {"a": {}}})) == []
    assert "\\u200b" in as_json({"a\u200b": 1})


def test_what_an_argument_is_decides_its_field() -> None:
    properties = {
        "text": {"type": "string"},
        "prose": {"type": "string"},
        "number": {"type": "number"},
        "flag": {"type": "boolean"},
        "choice": {"enum": ["a", "b"]},
        "wrong": {"type": "integer"},
        "secret": {"type": "string"},
        "absent": {"type": "string"},
    }
    given_ = {
        "text": "a",
        "prose": "a\nb",
        "number": 1.5,
        "flag": False,
        "choice": "b",
        "wrong": "x",
        "secret": "\u202e",
    }
    kinds = {field.name: field.kind for field in fields(action({**given_, "extra": 1}, {"properties": properties}))}
    assert kinds == {
        "text": "text", "prose": "lines", "number": "number", "flag": "flag", "choice": "choice", "wrong": "json",
        "secret": "json", "absent": "text", "extra": "json",
    }  # fmt: skip


def test_an_emptied_field_leaves_an_optional_argument_out_and_empties_a_required_text() -> None:
    schema = {"properties": {"note": {"type": "string"}, "to": {"type": "string"}}, "required": ["to"]}
    subject = action({"note": "x", "to": "y"}, schema)
    assert read({"argument:note": "", "argument:to": ""}, subject) == {"to": ""}


@pytest.mark.parametrize("text", ["", "[]", "1", "{", '{"a": 1, "a": 1}', '{"a": {"b": 1, "b": 2}}', "[" * 100_000])
def test_no_object_or_a_name_twice_is_refused(text: str) -> None:
    with pytest.raises(EditError):
        read_object(text)


def test_numbers_that_are_none_are_refused_by_name() -> None:
    subject = action({"n": 1}, {"properties": {"n": {"type": "number"}}})
    with pytest.raises(EditError, match="n: must be a number"):
        read({"argument:n": "1,5"}, subject)
    with pytest.raises(ArgumentsError):
        canonical(read({"argument:n": "1e999"}, subject))
