"""budget: steps, tokens, money and time of a run, each with its own limit."""

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.builders import make_project
from tests.detectors.steps import hits, kinds, make_step
from tests.traces.builders import send, step
from traces.detectors.base import Hit, SessionSoFar, Severity, Step
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


def test_a_session_adds_what_its_other_runs_used() -> None:
    one = Budget(max_session_tokens=10_500, max_session_cost_usd=99.0)
    one.session = SessionSoFar(runs=2, steps=7, tokens=9_000, cost_usd=3.0, work_s=60.0)
    hit = only(one, [model(1), model(2), model(3)])
    assert (hit.kind, hit.onset.number, hit.of_session) == ("session_tokens", 2, True)
    assert hit.say.startswith("The session, 3 runs so far, has used 11,000 tokens; its budget is 10,500.")


BUDGETS: dict[str, Any] = {
    "steps": {"max_session_steps": 5},
    "tokens": {"max_session_tokens": 5_000},
    "cost": {"max_session_cost_usd": 2.6},
    "time": {"max_session_work_s": 45.0},
}


def run(trace_id: str, numbers: Iterable[int], session: str | None = "s-1") -> list[dict[str, Any]]:
    """Model calls of one session: 1,000 tokens, $0.50 and ten seconds each."""
    about = {"event_type": "model_response", "tool_name": None, "input_tokens": 1_000, "cost_usd": 0.5}
    about |= {"trace_id": trace_id, "session_id": session, "duration_ms": 10_000}
    return [step(number, timestamp=f"2026-03-16T12:00:{number * 10:02}Z", **about) for number in numbers]


def look_at(*traces: str) -> list[tuple[str, str]]:
    """Look at traces in this order; return the findings as (trace, kind)."""
    for name in traces:
        detect_trace(Trace.objects.get(external_trace_id=name))
    found = Finding.objects.filter(state="open", kind__startswith="session_")
    return list(found.order_by("id").values_list("trace__external_trace_id", "kind"))


@pytest.mark.django_db
@pytest.mark.parametrize("budget", BUDGETS)
def test_a_session_beyond_its_budget_is_one_finding_whichever_run_is_looked_at_and_however_often(budget: str) -> None:
    project = make_project()
    DetectorSettings.objects.create(project=project, detector="Budget", thresholds=BUDGETS[budget])
    send(project, *run("one", range(1, 4)))
    assert look_at("one", "one") == []
    send(project, *run("two", range(1, 4)))
    assert look_at("two", "one", "two") == [("two", f"session_{budget}")]
    send(project, *run("three", [2, 3]), *run("one", [4]))
    assert look_at("one", "three", "two") == [("two", f"session_{budget}")]
    send(project, *run("three", [1]), *run("two", [0]))  # late: both are read anew
    assert look_at("three", "two") == [("two", f"session_{budget}")]


@pytest.mark.django_db
def test_runs_of_other_sessions_and_of_none_do_not_count() -> None:
    project = make_project()
    DetectorSettings.objects.create(project=project, detector="Budget", thresholds=BUDGETS["steps"])
    send(project, *run("one", range(1, 4)), *run("two", range(1, 4), "s-2"), *run("three", range(1, 9), None))
    assert look_at("one", "two", "three") == []


@pytest.mark.django_db
def test_a_session_costs_one_query_more_and_none_where_it_has_no_budget() -> None:
    project = make_project()

    def cost(name: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            detect_trace(Trace.objects.get(external_trace_id=name))
        return len(queries)

    send(project, *run("one", [1]), *run("two", [1]), *run("three", [1]))
    cost("one")
    before = cost("two")
    DetectorSettings.objects.create(project=project, detector="Budget", thresholds={"max_session_steps": 99})
    assert cost("three") == before + 1
