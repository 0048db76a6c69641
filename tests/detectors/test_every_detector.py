"""What every detector keeps to: found by being there, explained, pure, and none the worse for being saved."""

import ast
import inspect
import random
import sys
from typing import Any

import msgspec
import pytest

from tests.detectors.steps import make_step
from traces.detectors.base import PARTS, Detector, Step
from traces.detectors.fold import STATE_BYTES
from traces.detectors.registry import all_detectors

PATTERNS = {
    "context_drift",
    "tool_loop",
    "bad_signature",
    "missing_rollback",
    "observability_gap",
    "over_automation",
}
PURE = {
    "collections", "dataclasses", "difflib", "enum", "functools", "itertools", "json", "math", "re", "string", "typing",
    "msgspec", "jsonschema_rs", "traces.detectors.base",
}  # fmt: skip

every_detector = pytest.mark.parametrize("kind", all_detectors(), ids=lambda kind: kind.name())


def some_steps(seed: int, n: int) -> list[Step]:
    """A run with loops, errors, people and silence in it, of a few tools."""
    rng = random.Random(seed)
    steps = []
    for number in range(1, n + 1):
        event = rng.choices(["tool_call", "model_response", "human_gate", "error"], [8, 3, 1, 1])[0]
        failed = event == "error" or rng.random() < 0.2
        steps.append(
            make_step(
                number,
                event_type=event,
                tool_name=rng.choice(["search", "refund"]) if event == "tool_call" else None,
                arguments={"q": rng.choice("ab")},
                result=rng.choice(["ok", "none", None]),
                is_error=failed,
                error="timeout" if failed else None,
                risk=rng.choice(["read", "high", "unknown"]),
                gate="user_turn" if event == "human_gate" else None,
                text=rng.choice(["hello", None]),
                tokens=rng.randrange(1000),
            )
        )
    return steps


@every_detector
def test_it_explains_itself_in_four_parts_and_names_every_threshold(kind: type[Detector]) -> None:
    sections = kind.sections()
    assert all(sections.get(part) for part in ["", *PARTS]), sections
    for name in kind.Thresholds.__struct_fields__:
        assert f"`{name}`" in (kind.__doc__ or ""), f"{name} is not in the docstring"
    assert kind.pattern in PATTERNS


@every_detector
@pytest.mark.parametrize("seed", range(5))
def test_its_state_survives_being_saved_between_any_two_steps(kind: type[Detector], seed: int) -> None:
    steps = some_steps(seed, 120)
    whole, saved = kind(), kind()
    for step in steps:
        expected = list(whole.see(step))
        assert list(saved.see(step)) == expected
        text = msgspec.json.encode(saved.state)
        assert len(text) <= STATE_BYTES
        saved = kind(state=msgspec.json.decode(text, type=kind.State))


@every_detector
def test_the_same_steps_give_the_same_hits(kind: type[Detector]) -> None:
    steps = some_steps(7, 200)
    runs: list[list[Any]] = [[hit for step in steps for hit in one.see(step)] for one in (kind(), kind())]
    assert runs[0] == runs[1]


@every_detector
def test_a_file_of_detectors_imports_nothing_that_has_a_clock_a_network_or_a_database(kind: type[Detector]) -> None:
    tree = ast.parse(inspect.getsource(sys.modules[kind.__module__]))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert (node.module or "") in PURE or (node.module or "").split(".")[0] in PURE, node.module
        elif isinstance(node, ast.Import):
            assert {alias.name.split(".")[0] for alias in node.names} <= PURE
