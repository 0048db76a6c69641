"""The check of arguments: as a JSON Schema validator has it, but for what is said, and never slow or afraid."""

import gzip
import random
import time
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from traces.detectors.labelled import read_steps
from traces.detectors.schema import check_of

ORDER = {
    "type": "object",
    "properties": {
        "order_id": {"type": "string", "minLength": 2},
        "amount": {"type": "number", "exclusiveMinimum": 0, "maximum": 100},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}, "minItems": 1},
        "reason": {"enum": ["broken", "late"]},
        "to": {"anyOf": [{"type": "string"}, {"type": "object", "properties": {"iban": {"type": "string"}}}]},
        "notify": {"type": ["boolean", "null"]},
        "count": {"allOf": [{"type": "integer"}, {"minimum": 1}]},
    },
    "required": ["order_id"],
    "$defs": {"line": {"type": "object", "properties": {"sku": {"type": "string"}}, "required": ["sku"]}},
}


def fault(schema: Any, value: Any) -> str | None:
    found = check_of(msgspec.json.encode(schema).decode())(value)
    return None if found is None else str(found)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"order_id": "W1"}, None),
        ({}, "order_id is required and missing"),
        ({"order_id": 17}, "order_id is 17, not of type string"),
        ({"order_id": "W1", "amount": 12.5, "count": 2.0, "notify": None}, None),
        ({"order_id": "W1", "amount": True}, "amount is true, not of type number"),
        ({"order_id": "W1", "amount": 0}, "amount is 0, not more than 0"),
        ({"order_id": "W1", "amount": 101}, "amount is 101, more than 100"),
        ({"order_id": "W"}, 'order_id is "W", shorter than 2'),
        ({"order_id": "W1", "lines": []}, "lines is [], fewer than 1"),
        ({"order_id": "W1", "lines": [{"sku": "a"}, {}]}, "lines.1.sku is required and missing"),
        ({"order_id": "W1", "reason": "lost"}, 'reason is "lost", not one of ["broken","late"]'),
        ({"order_id": "W1", "to": {"iban": 1}}, "to.iban is 1, not of type string"),
        ({"order_id": "W1", "count": 0}, "count is 0, less than 1"),
        ({"order_id": "W1", "why": "x"}, "why is no argument of it"),
        ({"order_id": "W1", "": {}}, '"" is no argument of it'),
        ("W1", 'is "W1", not of type object'),
    ],
)
def test_the_first_fault_is_named_by_its_place(arguments: Any, said: str | None) -> None:
    assert fault(ORDER, arguments) == said


def test_null_stands_for_an_optional_argument_and_for_no_other() -> None:
    assert fault(ORDER, {"order_id": "W1", "reason": None, "to": None, "lines": None}) is None
    assert fault(ORDER, {"order_id": None}) == "order_id is null, not of type string"


def test_more_arguments_are_allowed_where_the_schema_says_so() -> None:
    assert fault({"properties": {"a": {}}, "additionalProperties": True}, {"b": 1}) is None
    assert fault({"properties": {"a": {}}, "additionalProperties": {"type": "string"}}, {"b": 1}) is not None
    assert fault({"type": "object"}, {"b": 1}) is None
    assert fault({"type": "object", "properties": {}}, {"b": 1}) is not None


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "dict"},
        {"type": [1]},
        {"properties": [1], "required": "x"},
        {"$ref": "#"},
        {"$ref": "#/nowhere"},
        {"$ref": "https://example.org/schema.json"},
        {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]},
        {"allOf": [{"$ref": "#"}, {"items": {"$ref": "#"}}]},
        {"enum": []},
        {"properties": {"a": {"pattern": "(a+)+$"}}},
        {"minimum": "1"},
        7,
    ],
)
def test_a_schema_that_is_none_accuses_nobody(schema: Any) -> None:
    assert fault(schema, {"a": [[["a" * 40]]]}) is None


def test_a_schema_that_would_take_for_ever_ends() -> None:
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    branching = {"anyOf": [{"type": "array", "items": {"$ref": "#"}}] * 3}
    began = time.process_time()
    fault(branching, deep)
    assert time.process_time() - began < 20  # without an end to it, 3 to the power of 100 steps


@pytest.mark.data
def test_it_agrees_with_a_validator_on_real_calls(lent_data: Path) -> None:
    rng, checked = random.Random(20260316), 0
    for name in ("agentdojo", "bfcl_single", "tau"):
        lines = gzip.decompress((lent_data / "trajectories" / f"{name}.jsonl.gz").read_bytes()).splitlines()
        for line in rng.sample(lines, 60):
            for step in read_steps(line, frozenset()):
                if step.tool is None or step.tool.schema is None or not isinstance(step.arguments, dict):
                    continue
                said = {key: value for key, value in step.arguments.items() if value is not None}
                schema = {"additionalProperties": False, **step.tool.schema}
                is_valid = jsonschema.Draft202012Validator(schema).is_valid(said)
                assert (fault(step.tool.schema, said) is None) == is_valid, (step.tool.name, said)
                checked += 1
    assert checked > 200
