"""budget: steps, tokens, money and time of a run, each with its own limit."""

from typing import Any

import msgspec
import pytest

from tests.builders import make_project
from tests.detectors.steps import hits, kinds, make_step
from tests.traces.builders import send, step
from traces.detectors.base import Hit, Severity, Step
from traces.detectors.budget import Budget
from traces.detectors.fold import detect_trace
from traces.detectors.models import DetectorSettings, Finding
from traces.models import Trace


def model(number: int, **fields: Any) -> Step:
    return make_step(
        number, event_type="model_response", tool_name=None, **{"tokens": 1_000, "cost_usd": 0.5, **fields}
    )


def person(number: int, **fields: Any) -> Step:
    return make_step(number, event_type="human_gate", tool_name=None, **{"gate": "user_turn", **fields})


def only(one: Budget, steps: list[Step]) -> Hit:
    (hit,) = hits(one, steps).values()
    return hit


def test_a_usual_run_is_within_its_budget() -> None:
    assert hits(Budget(), [model(number) for number in range(1, 90)]) == {}


def test_the_step_after_the_last_one_allowed_is_the_onset() -> None:
    hit = only(Budget(max_steps=3), [make_step(1), model(2), model(3), model(4, cost_usd=None), model(5)])
    assert (hit.kind, hit.onset.number, hit.last.number, hit.severity) == ("steps", 4, 4, None)
    assert hit.say == (
        "The run has taken 4 steps; its budget is 3. Cost so far: $1.00; what 1 model call cost is unknown."
    )
    assert hit.next
    assert hit.evidence == ("span-1", "span-4")


def test_it_is_told_of_again_as_high_when_twice_as_much_is_used() -> None:
    hit = only(Budget(max_steps=3), [make_step(number) for number in range(1, 9)])
    assert (hit.onset.number, hit.last.number, hit.severity) == (4, 8, Severity.HIGH)
    assert hit.say.startswith("The run has taken 8 steps; its budget is 3.")


def test_tokens_add_up() -> None:
    hit = only(Budget(max_tokens=2_500), [model(1), make_step(2), model(3), model(4)])
    assert (hit.kind, hit.onset.number) == ("tokens", 4)
    assert hit.say == "The run has used 3,000 tokens; its budget is 2,500. Cost so far, with 4 steps: $1.50."


def test_money_counts_as_the_sender_says_or_as_estimated() -> None:
    steps = [model(1), model(2, is_cost_estimated=True), model(3)]
    hit = only(Budget(max_cost_usd=1.2), steps)
    assert (hit.kind, hit.onset.number) == ("cost", 3)
    assert hit.say == (
        "The run has cost $1.50; its budget is $1.20. Cost so far, with 3 steps: $1.50, $0.50 of it estimated."
    )


def test_what_nobody_knows_the_price_of_is_said_and_not_counted() -> None:
    one = Budget(max_cost_usd=0.0)
    assert (
        kinds(one, [model(1, cost_usd=None), model(2, cost_usd=None), model(3, cost_usd=None, is_error=True)]) == set()
    )
    assert list(one.coverage()) == ["what 2 model calls cost is unknown: the budget of money counts the others"]


def test_time_is_that_of_work_and_not_of_people_or_of_a_run_at_rest() -> None:
    worked = [model(1, ended_at_s=300.0), make_step(2, at_s=310.0, ended_at_s=700.0)]
    hit = only(Budget(max_work_s=600.0), worked)
    assert (hit.kind, hit.onset.number) == ("time", 2)
    assert hit.say.startswith("The run has worked for 11 min 39 s; its budget is 10 min 0 s.")
    asked = [worked[0], person(2, at_s=9_000.0, ended_at_s=9_100.0), make_step(3, at_s=9_101.0)]
    assert hits(Budget(max_work_s=600.0), asked) == {}
    rested = [worked[0], make_step(2, at_s=9_000.0)]
    assert hits(Budget(max_work_s=600.0), rested) == {}
    assert kinds(Budget(max_work_s=600.0, max_pause_s=10_000.0), rested) == {"time"}


def test_calls_side_by_side_take_the_time_of_the_longest() -> None:
    at_once = [make_step(number, at_s=1.0, ended_at_s=101.0) for number in range(1, 20)]
    assert hits(Budget(max_work_s=100.0), at_once) == {}


def test_made_up_times_are_no_time() -> None:
    one = Budget(max_work_s=1.0)
    assert hits(one, [make_step(1, is_timed=False), make_step(900, is_timed=False)]) == {}
    assert list(one.coverage()) == ["no real times in this trace: the budget of time is off"]


def test_no_limit_depends_on_where_the_run_was_split() -> None:
    limits: dict[str, Any] = {"max_steps": 9, "max_tokens": 5_000, "max_cost_usd": 1.7, "max_work_s": 20.0}
    steps = [model(number, cost_usd=0.1 * number) for number in range(1, 60)]
    saved, found = Budget(**limits), {}
    for each in steps:
        found |= hits(saved, [each])
        saved = Budget(state=msgspec.json.decode(msgspec.json.encode(saved.state), type=Budget.State), **limits)
    assert found == hits(Budget(**limits), steps)
    assert {kind for kind, _ in found} == {"steps", "tokens", "cost", "time"}


@pytest.mark.django_db
def test_a_project_sets_its_own_budget_and_what_senders_say_of_costs_counts() -> None:
    project = make_project()
    DetectorSettings.objects.create(project=project, detector="Budget", thresholds={"max_cost_usd": 2.0})
    about = {"event_type": "model_response", "tool_name": None, "input_tokens": 1_000_000, "output_tokens": 0}
    priced = step(2, **about, model="claude-sonnet-4-5", provider="anthropic")
    send(project, step(1, **about, cost_usd=1.5), priced, step(3, **about, model="nobody-1"))
    detect_trace(Trace.objects.get())
    finding = Finding.objects.get(pattern="budget")
    assert (finding.kind, finding.severity, finding.onset_number) == ("cost", "medium", 2)
    assert finding.explanation.startswith("The run has cost $")
    assert "of it estimated" in finding.explanation
