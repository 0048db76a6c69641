"""The parts that stand in anyone's agent: breaker, guard, schema, dispatcher, saga, budget. No Django, no database."""

import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agentops.runtime import budget, saga, schema
from agentops.runtime.breaker import Breaker
from agentops.runtime.budget import Budget, Spent
from agentops.runtime.dispatch import Dispatcher
from agentops.runtime.guard import Guard
from agentops.runtime.saga import Saga
from agentops.runtime.states import UndoStatus
from agentops.runtime.tools.base import Call
from tests.instance import CHECKOUT
from tests.runtime.desk import desk

CALL = Call(run_id="run", key="run-1-0", project_id="project")
MODULES = ("breaker", "guard", "schema", "dispatch", "saga", "budget", "states", "failpoints", "tools.base")


def test_the_primitives_are_imported_without_django() -> None:
    names = ", ".join(f"agentops.runtime.{name}" for name in MODULES)
    code = f"import sys; sys.modules['django'] = None; import {names}"
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_breaker_opens_at_the_sixth_call_within_its_window() -> None:
    breaker = Breaker()
    assert [breaker.refusal("t", now_s=float(at)) for at in range(5)] == [None] * 5
    refused = breaker.refusal("t", now_s=5.0)
    assert refused is not None
    assert (refused["status"], refused["retry_after_s"]) == ("circuit_open", 60.0)
    assert breaker.refusal("other", now_s=5.0) is None


def test_slow_calls_never_open_the_breaker() -> None:
    breaker = Breaker()
    assert not any(breaker.refusal("t", now_s=at * 13.0) for at in range(20))


def opened() -> Breaker:
    breaker = Breaker()
    for _ in range(6):
        breaker.refusal("t", now_s=0.0)
    return breaker


def test_after_its_rest_the_breaker_lets_one_call_through() -> None:
    breaker = opened()
    assert breaker.refusal("t", now_s=59.0) is not None
    assert breaker.refusal("t", now_s=61.0) is None
    assert breaker.refusal("t", now_s=61.0) is not None, "only one tries it"


@pytest.mark.parametrize(("is_ok", "lets_through"), [(True, True), (False, False)])
def test_the_call_that_tries_a_tool_decides_about_the_next_ones(is_ok: bool, lets_through: bool) -> None:
    breaker = opened()
    breaker.refusal("t", now_s=61.0)
    breaker.note("t", is_ok=is_ok, now_s=62.0)
    assert (breaker.refusal("t", now_s=63.0) is None) is lets_through


def test_the_guard_refuses_the_identical_call_whatever_the_order_of_its_keys() -> None:
    guard = Guard()
    assert guard.refusal("t", {"a": 1, "b": 2}) is None
    guard.note(is_ok=True)
    refused = guard.refusal("t", {"b": 2, "a": 1})
    assert refused is not None
    assert refused["status"] == "repeated_call"
    assert guard.refusal("t", {"a": 1, "b": 3}) is None
    assert guard.refusal("t", {"a": 1, "b": 2}) is None, "it is no longer the one before"


def test_the_guard_lets_a_call_that_failed_be_made_once_more() -> None:
    guard = Guard()
    outcomes = []
    for _ in range(3):
        outcomes.append(guard.refusal("t", {}) is None)
        guard.note(is_ok=False)
    assert outcomes == [True, True, False]


SCHEMA = {
    "type": "object",
    "properties": {"order": {"type": "integer"}, "items": {"type": "array", "items": {"enum": ["a", "b"]}}},
    "required": ["order"],
    "additionalProperties": False,
}


class Offered:
    schema = SCHEMA


@pytest.mark.parametrize(
    ("arguments", "path", "got"),
    [
        ({}, "/order", "nothing"),
        ({"order": "1"}, "/order", "1"),
        ({"order": 1, "items": ["a", "c"]}, "/items/1", "c"),
        ({"order": 1, "a/b": 2}, "/a~1b", 2),
        ([], "", []),
    ],
)
def test_a_fault_in_the_arguments_is_named_by_its_place(arguments: Any, path: str, got: Any) -> None:
    refused = schema.refusal({"t": Offered()}, "t", arguments)
    assert refused is not None
    assert (refused["status"], refused["schema"]) == ("invalid_arguments", SCHEMA)
    (fault,) = refused["errors"]
    assert (fault["path"], fault["got"]) == (path, got)
    assert fault["expected"]


def test_huge_arguments_are_not_said_back() -> None:
    refused = schema.refusal({"t": Offered()}, "t", {"order": "x" * 100_000, **{f"k{n}": n for n in range(500)}})
    assert refused is not None
    assert len(refused["errors"]) == schema.MOST_FAULTS
    assert len(str(refused)) < 20_000


@pytest.fixture
def tools(tmp_path: Path) -> Dispatcher:
    return Dispatcher(desk(tmp_path / "outside").tools)


def test_the_dispatcher_makes_a_call_and_tells_what_came_of_it(tools: Dispatcher) -> None:
    assert tools.run("look_up", {"order": 1}, CALL) == {"status": "ok", "result": {"order": 1, "done": "look_up"}}
    assert tools.run("look_up", {"order": 1}, CALL)["status"] == "repeated_call"
    assert tools.run("look_up", {"order": "x"}, CALL)["status"] == "invalid_arguments"
    refused = tools.run("issue_refund", {"order": 1, "act": "refuse"}, CALL)
    assert refused == {"status": "error", "reason": "the order is closed"}
    assert [step.status for step in tools.saga.steps] == [UndoStatus.NOT_NEEDED]


def test_the_policy_is_asked_after_the_schema_and_before_anything_happens(tools: Dispatcher) -> None:
    asked = []

    def deny(tool: Any, arguments: dict[str, Any]) -> dict[str, Any]:
        asked.append(arguments)
        return {"status": "denied"}

    tools.policy = deny
    assert tools.run("look_up", {}, CALL)["status"] == "invalid_arguments"
    assert tools.run("look_up", {"order": 1}, CALL) == {"status": "denied"}
    assert asked == [{"order": 1}]
    assert tools.tools["look_up"].outside.lines() == []  # type: ignore[attr-defined]


def test_calls_with_wrong_arguments_open_the_breaker_too(tools: Dispatcher) -> None:
    statuses = [tools.run("look_up", {"order": f"{number}"}, CALL)["status"] for number in range(6)]
    assert statuses == ["invalid_arguments"] * 5 + ["circuit_open"]


def test_a_saga_is_undone_in_reverse_and_stops_at_what_cannot_be(tools: Dispatcher) -> None:
    for number, act in ((1, ""), (2, "never undo"), (3, "")):
        key = Call(run_id="run", key=f"run-1-{number}", project_id="project")
        tools.run("charge", {"order": number, "act": act}, key)
    undone = [tools.saga.undo_one() for _ in range(3)]
    assert [step and step.status for step in undone] == [UndoStatus.DONE, UndoStatus.DEAD, None]
    assert next(step.status for step in tools.saga.steps) == UndoStatus.REGISTERED


def test_a_compensation_is_tried_again_by_one_key_until_it_is_dead(tools: Dispatcher) -> None:
    assert [saga.after_failure(n, is_final=False)[1] for n in range(1, 6)] == list(saga.BACKOFF_S)
    assert saga.after_failure(saga.MAX_ATTEMPTS, is_final=False)[0] == UndoStatus.DEAD
    tools.run("charge", {"order": 1, "act": "undo late"}, CALL)
    statuses = [step.status for _ in range(3) if (step := tools.saga.undo_one())]
    assert statuses == [UndoStatus.RETRY, UndoStatus.RETRY, UndoStatus.DONE]
    assert tools.tools["charge"].outside.count("undo") == {"run-1-0-undo": 1}  # type: ignore[attr-defined]


def test_an_empty_saga_has_nothing_to_undo() -> None:
    assert Saga().undo_one() is None


@pytest.mark.parametrize(
    ("spent", "word"),
    [
        (Spent(steps=40), "40 steps"),
        (Spent(tokens=200_000), "200,000 tokens"),
        (Spent(cost_usd=Decimal(2)), "$2.00"),
        (Spent(wall_s=3_600.0), "3600 s"),
    ],
)
def test_each_limit_of_a_budget_ends_a_run(spent: Spent, word: str) -> None:
    assert word in (budget.exceeded(Budget(), spent) or "")
    assert budget.exceeded(Budget(), Spent(steps=39, tokens=199_999)) is None
