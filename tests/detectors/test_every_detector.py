"""What every detector keeps to: found by being there, explained, pure, and none the worse for being saved."""

import ast
import inspect
import random
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import msgspec
import pytest

import traces.detectors as folder
from tests.detectors.steps import make_step
from traces.detectors.base import NEEDS, PARTS, Detector, Step
from traces.detectors.fold import STATE_BYTES
from traces.detectors.labelled import end_of
from traces.detectors.registry import all_detectors

PATTERNS = {
    "context_drift",
    "tool_loop",
    "bad_signature",
    "missing_rollback",
    "observability_gap",
    "over_automation",
    "budget",
}
PURE = {
    "collections", "dataclasses", "difflib", "enum", "functools", "inspect", "itertools", "json", "math", "msgspec",
    "re", "string", "typing", "zlib",
}  # fmt: skip

SOME_TOOLS = [
    {"name": "search", "schema": {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}},
    {"name": "refund", "risk": "high"},
]

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
                arguments={"q": rng.choice(["a", "b", 1, f"W{rng.randrange(10**8)}"])},
                result=rng.choice(["ok", "none", None, f"order W{rng.randrange(10**8)} of ann@example.org"]),
                tools=rng.choice([None, SOME_TOOLS, SOME_TOOLS[:1]]),
                is_error=failed,
                error="timeout" if failed else None,
                risk=rng.choice(["read", "high", "unknown"]),
                gate="user_turn" if event == "human_gate" else None,
                text=rng.choice(["hello", None, f"order W{rng.randrange(10**8)}"]),
                is_truncated=rng.random() < 0.05,
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
@pytest.mark.parametrize("seed", range(3))
def test_being_asked_about_silence_changes_nothing(kind: type[Detector], seed: int) -> None:
    one = kind()
    for step in some_steps(seed, 60):
        list(one.see(step))
        before = msgspec.json.encode(one.state)
        end = end_of([step])
        running = msgspec.structs.replace(end, status="running", at_s=end.received_s)
        answers = [list(one.silent(moment)) for moment in (running, end, running, end)]
        assert answers[:2] == answers[2:]
        assert msgspec.json.encode(one.state) == before
    assert one.look_again_s(end) is None, "what has settled is asked again for ever"


@every_detector
def test_it_needs_only_what_can_be_loaded_and_says_its_gaps_in_words(kind: type[Detector]) -> None:
    assert kind.needs <= NEEDS
    one = kind()
    for step in some_steps(1, 60):
        list(one.see(step))
    assert all(isinstance(why, str) and why for why in one.coverage())


@every_detector
def test_a_file_of_detectors_imports_nothing_that_has_a_clock_a_network_or_a_database(kind: type[Detector]) -> None:
    assert not impure(kind.__module__, {kind.__module__})


def impure(module: str, known: set[str]) -> list[str]:
    """Return what a module imports that is not pure; files beside it are looked into."""
    found = []
    for name in imports(module):
        if name.startswith(f"{folder.__name__}."):
            found += impure(name, known | {name}) if name not in known else []
        elif name.split(".")[0] not in PURE:
            found.append(f"{module}: {name}")
    return found


def imports(module: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(inspect.getsource(import_module(module)))):
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
