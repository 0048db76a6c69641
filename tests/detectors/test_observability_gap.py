"""observability_gap: what is missing of a run, and what only looks missing."""

import random
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from django.utils import timezone

from tests.builders import make_project
from tests.detectors.passing import pass_time
from tests.detectors.steps import hits, make_step
from tests.traces.builders import send, step
from tests.traces.otlp import AGENT, CHAT, TOOL, Exporter, span
from traces.detectors.base import NOWHERE, Hit, Moment, Severity, Step
from traces.detectors.fold import STATE_BYTES, detect_trace
from traces.detectors.labelled import end_of
from traces.detectors.models import DetectorState, Finding
from traces.detectors.observability_gap import ObservabilityGap
from traces.models import Trace

RUNNING = Moment(at_s=2_000.0, status="running", received_s=1_000.0, settles_s=2_030.0, steps=3, spans=3)
SETTLED = msgspec.structs.replace(RUNNING, status="ok", settles_s=1_030.0)


def model(number: int, **fields: Any) -> Step:
    return make_step(number, event_type="model_response", tool_name=None, **{"tokens": 90, **fields})


def person(number: int, **fields: Any) -> Step:
    return make_step(number, event_type="human_gate", tool_name=None, **{"gate": "user_turn", **fields})


def said(steps: list[Step], now: Moment = SETTLED, **thresholds: Any) -> dict[str, Hit]:
    """Return what silence means after these steps, by kind."""
    one = ObservabilityGap(**thresholds)
    for each in steps:
        list(one.see(each))
    return {hit.kind: hit for hit in one.silent(now)}


def test_a_whole_run_has_no_gap() -> None:
    steps = [person(1), model(2), make_step(3), make_step(4, is_error=True, result=None), model(5)]
    assert said(steps) == {}
    assert said(steps, RUNNING) == {}
    assert hits(ObservabilityGap(), steps) == {}


def test_holes_between_numbers_are_one_finding_once_settled() -> None:
    steps = [make_step(number) for number in (4, 5, 8, 10, 11)]
    assert said(steps, RUNNING) == {}
    (hit,) = said(steps).values()
    assert (hit.kind, hit.onset.number, hit.severity, hit.due_s) == ("holes", 5, Severity.MEDIUM, 1_030.0)
    assert hit.say == "Steps are missing: 6 to 7, 9."
    assert hit.evidence == ("span-5", "span-8", "span-10")


def test_numbers_that_do_not_count_have_no_holes() -> None:
    by_tens = [make_step(number) for number in range(10, 100, 10)]
    assert said(by_tens) == {}
    one = ObservabilityGap()
    for each in by_tens:
        list(one.see(each))
    assert list(one.coverage()) == ["the sender's step numbers leap: no holes can be told"]
    assert said([make_step(1), make_step(2), make_step(5_000)]) == {}
    assert set(said([make_step(1), make_step(2), make_step(5_000)], max_hole_steps=9_000)) == {"holes"}


def test_a_call_without_a_result_weighs_more_where_its_tool_gave_results() -> None:
    lost = make_step(2, result=None)
    (hit,) = said([make_step(1), lost, make_step(3)]).values()
    assert (hit.kind, hit.onset.number, hit.severity, hit.tool) == ("no_result", 2, Severity.MEDIUM, "search")
    assert hit.say == "1 of 3 calls (search) came without a result."
    steps = [make_step(1), make_step(2, tool_name="send", result=None)]
    (hit,) = said([*steps, make_step(3)]).values()
    assert hit.severity is None
    assert said(steps) == {}, "a tool that ends a run answers nothing"
    assert set(said(steps, msgspec.structs.replace(SETTLED, status="error"))) == {"no_result"}


def test_what_a_client_never_sends_is_one_low_finding_and_none_in_a_file() -> None:
    steps = [make_step(1, result=None), model(2, tokens=None), make_step(3, result=None), model(4, tokens=None)]
    found = said(steps)
    assert {kind: (hit.severity, hit.say) for kind, hit in found.items()} == {
        "no_result": (None, "All 2 calls (search) came without a result."),
        "no_usage": (None, "All 2 model calls came without tokens."),
    }
    assert said(steps, end_of(steps)) == {}
    one = ObservabilityGap()
    for each in steps:
        list(one.see(each))
    assert len(list(one.coverage())) == 2


def test_a_call_that_only_messages_tell_of_may_be_answered_in_a_request_that_never_comes() -> None:
    told = make_step(3, span_id="call-1", result=None)
    assert said([make_step(1), model(2), told]) == {}
    assert set(said([make_step(1), model(2), told, model(4)])) == {"no_result"}


def test_model_calls_without_tokens_are_found_and_failed_ones_have_none() -> None:
    (hit,) = said([model(1), model(2, tokens=None), model(3)]).values()
    assert (hit.kind, hit.onset.number, hit.say) == ("no_usage", 2, "1 of 3 model calls came without tokens.")
    assert said([model(1), model(2, tokens=None, is_error=True)]) == {}


@pytest.mark.parametrize(
    ("steps", "severity"),
    [
        ([model(1), make_step(2, result=None)], Severity.MEDIUM),
        ([model(1), make_step(2, ended_at_s=5.0)], None),
        ([person(1)], None),
    ],
    ids=["a call runs", "no answer to a result", "no answer to a person"],
)
def test_silence_is_said_while_something_is_due(steps: list[Step], severity: Severity | None) -> None:
    hit = said(steps, RUNNING)["silence"]
    assert (hit.onset, hit.severity, hit.due_s) == (steps[-1].ref, severity, 1_300.0)
    assert "silence" not in said(steps, msgspec.structs.replace(RUNNING, at_s=1_299.0))
    assert "silence" not in said(steps, SETTLED), "whoever closed it knows that it is over"
    assert "silence" in said(steps, msgspec.structs.replace(SETTLED, is_abandoned=True))
    assert "silence" not in said([msgspec.structs.replace(each, is_timed=False) for each in steps], RUNNING)
    assert said(steps, RUNNING, max_silence_s=5_000.0) == {}


@pytest.mark.parametrize(
    "steps",
    [
        [person(1), make_step(2), model(3)],
        [model(1), make_step(2), person(3, gate="pending")],
        [person(1), model(2), person(3)],
        [make_step(1), make_step(2)],
        [model(1), make_step(2, event_type="error", tool_name=None)],
    ],
    ids=["the model had answered", "a person decides", "a person ended it", "the model is never told of", "it failed"],
)
def test_silence_where_nothing_is_due_is_none(steps: list[Step]) -> None:
    assert said(steps, RUNNING) == {}


def test_a_silence_that_ended_stays_said_and_a_long_call_is_none() -> None:
    late = model(3, at_s=402.0)
    found = hits(ObservabilityGap(), [model(1), make_step(2), late])
    assert [(hit.kind, hit.onset.number, hit.say) for hit in found.values()] == [
        ("silence", 2, "After the result of search no step came for 400 s.")
    ]
    assert hits(ObservabilityGap(), [model(1), make_step(2, ended_at_s=400.0), late]) == {}
    assert hits(ObservabilityGap(), [model(1), make_step(2), person(3, at_s=9_000.0)]) == {}


def test_it_asks_to_be_asked_when_its_time_will_have_come() -> None:
    one = ObservabilityGap()
    list(one.see(person(1)))
    now = msgspec.structs.replace(RUNNING, at_s=1_001.0, settles_s=1_630.0)
    assert one.look_again_s(now) == 1_300.0
    assert one.look_again_s(msgspec.structs.replace(now, at_s=1_301.0)) == 1_630.0
    list(one.see(model(2)))
    assert one.look_again_s(now) == 1_630.0


def test_a_run_without_steps_is_found_unless_no_agent_is_in_it() -> None:
    nothing = Moment(at_s=2_000.0, status="error", received_s=1_000.0, settles_s=1_030.0)
    hit = said([], nothing)["no_steps"]
    assert (hit.onset, hit.severity, hit.due_s) == (NOWHERE, Severity.MEDIUM, 1_030.0)
    assert said([], msgspec.structs.replace(nothing, spans=4)) == {}
    assert set(said([], msgspec.structs.replace(nothing, spans=4, names_agent=True))) == {"no_steps"}
    assert set(said([], msgspec.structs.replace(nothing, status="running"))) == {"no_steps"}
    assert said([], msgspec.structs.replace(nothing, status="running", at_s=1_200.0)) == {}
    assert set(said([], end_of([]))) == {"no_steps"}


def test_what_did_not_end_with_the_root_is_found() -> None:
    ended = msgspec.structs.replace(SETTLED, root_ended_s=990.0, lost_parents=("p-1",))
    under = [make_step(1, parent_span_id="p-0", ended_at_s=2.0), make_step(2, parent_span_id="p-1", ended_at_s=3.0)]
    hit = said(under, ended)["open_child"]
    assert (hit.onset.number, hit.evidence) == (2, ("span-2",))
    assert hit.say == "The run's root ended, but 1 of the spans around its steps never came."
    assert said(under, msgspec.structs.replace(ended, lost_parents=())) == {}
    endless = [model(1), make_step(2, result=None)]
    assert "open_child" in said(endless, msgspec.structs.replace(ended, lost_parents=()))
    assert "open_child" not in said(endless, SETTLED)
    unknown = said(under, msgspec.structs.replace(ended, lost_parents=("p-9",)))["open_child"]
    assert (unknown.onset, unknown.evidence) == (NOWHERE, ())


def test_its_state_is_bounded() -> None:
    one = ObservabilityGap()
    for i in range(3_000):
        fields = {"span_id": f"{i:0200}", "parent_span_id": f"{i:0199}", "result": None if i % 3 else "x"}
        number = 2 * i if i % 2 else 2 * i - 1
        list(one.see(make_step(number, tool_name=f"{i % 700:0200}", **fields)))
        list(one.see(model(number + 1, span_id=f"m{i:0199}", tokens=None)))
    assert len(msgspec.json.encode(one.state)) < STATE_BYTES


def settle() -> None:
    """Let the clock close what is open, and nothing more be waited for."""
    pass_time(601)
    pass_time(31)


def open_kinds() -> set[tuple[str, str]]:
    return set(Finding.objects.open().filter(pattern="observability_gap").values_list("kind", "severity"))


@pytest.mark.django_db
def test_a_native_run_with_a_hole_and_a_lost_result_is_found_and_made_good_by_what_comes_late() -> None:
    project = make_project()
    send(project, step(1, tool_output="a"), step(2), step(4, tool_output="c", trace_status="ok"))
    detect_trace(Trace.objects.get())
    assert open_kinds() == set()
    pass_time(31)
    detect_trace(Trace.objects.get())
    assert open_kinds() == {("holes", "medium"), ("no_result", "medium")}
    send(project, step(3, tool_output="b"), step(2, tool_output="b"))
    detect_trace(Trace.objects.get())
    assert open_kinds() == set()


@pytest.mark.django_db
def test_a_run_that_falls_silent_is_told_of_while_it_is_open_and_stays_so_when_the_clock_closes_it() -> None:
    project = make_project()
    send(project, step(1, timestamp=timezone.now().isoformat()))
    again = detect_trace(Trace.objects.get())
    assert again is not None
    assert 290 < again.total_seconds() <= 300
    pass_time(301)
    detect_trace(Trace.objects.get())
    assert open_kinds() == {("silence", "medium")}
    settle()
    assert Trace.objects.get().status == "ok"
    assert detect_trace(Trace.objects.get()) is None
    assert open_kinds() == {("silence", "medium"), ("no_result", "low")}
    assert DetectorState.objects.get().coverage["ObservabilityGap"]


@pytest.mark.django_db
def test_a_run_that_only_opened_left_no_step() -> None:
    send(make_project(), {"trace_id": "t-1", "trace_status": "running"})
    detect_trace(Trace.objects.get())
    pass_time(301)
    detect_trace(Trace.objects.get())
    assert open_kinds() == {("no_steps", "medium")}


@pytest.mark.django_db
@pytest.mark.parametrize(("about", "kinds"), [({}, set()), (AGENT, {("no_steps", "medium")})], ids=["web", "agent"])
def test_of_spans_that_are_no_steps_only_those_of_an_agent_are_a_run(
    about: dict[str, Any], kinds: set[tuple[str, str]]
) -> None:
    Exporter(make_project()).send(span(1, about))
    settle()
    detect_trace(Trace.objects.get())
    assert open_kinds() == kinds


@pytest.mark.django_db
def test_a_span_around_a_step_that_never_came_was_open_when_the_root_ended() -> None:
    exporter = Exporter(make_project())
    exporter.send(span(1, AGENT), span(2, CHAT, parentSpanId=f"{1:016x}"), span(3, TOOL, parentSpanId=f"{7:016x}"))
    settle()
    detect_trace(Trace.objects.get())
    assert open_kinds() == {("open_child", "low")}
    assert Finding.objects.get().evidence == [f"{3:016x}"]
    exporter.send(span(7, {}, parentSpanId=f"{1:016x}"))
    settle()
    detect_trace(Trace.objects.get())
    assert open_kinds() == set()


@pytest.mark.django_db
def test_any_order_ends_in_the_same_findings() -> None:
    project, rng = make_project(), random.Random(20260316)
    begin = timezone.now() - timedelta(hours=1)
    steps = [
        step(
            number,
            timestamp=(begin + timedelta(seconds=number + (900 if number > 7 else 0))).isoformat(),
            event_type="tool_call" if number % 3 else "model_response",
            tool_output=None if number in {4, 8} else "done",
            input_tokens=None if number == 9 else 70,
        )
        for number in range(1, 13)
        if number not in {2, 10}
    ]
    found = []
    for _ in range(4):
        shuffled = rng.sample(steps, len(steps))
        while shuffled:
            send(project, *shuffled[:3])
            shuffled = shuffled[3:]
            pass_time(rng.choice([0, 301]))
            detect_trace(Trace.objects.get())
        send(project, {"trace_id": "t-1", "trace_status": "ok"})
        settle()
        detect_trace(Trace.objects.get())
        found.append(sorted(Finding.objects.open().values_list("kind", "severity", "explanation", "onset_number")))
        Trace.objects.all().delete()
    assert found[0] == found[1] == found[2] == found[3]
    assert {kind for kind, *_ in found[0]} == {"holes", "no_result", "no_usage", "silence"}
