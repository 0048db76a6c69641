"""over_automation: which acts stand on nothing, and which only look so."""

import gzip
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from tests.builders import make_project
from tests.detectors.steps import hits, kinds, make_step
from tests.traces.builders import send, step
from traces.detectors.base import Gate, Severity, Step
from traces.detectors.fold import detect_trace
from traces.detectors.labelled import read_run, read_steps
from traces.detectors.models import DetectorState, Finding
from traces.detectors.over_automation import OverAutomation
from traces.detectors.toolset import toolset_of
from traces.ingest.step import arguments_hash
from traces.models import GateFact, ToolRisk, Trace


def said(text: str, number: int = 1) -> Step:
    return make_step(number, event_type="human_gate", tool_name=None, gate="user_turn", text=text)


def looked_up(number: int, result: Any, **fields: Any) -> Step:
    return make_step(number, **{"tool_name": "find_order", "result": result, "risk": "read", **fields})


def act(number: int, tool: str = "cancel_order", **fields: Any) -> Step:
    return make_step(number, **{"tool_name": tool, "risk": "high", "is_live": False, "result": "done", **fields})


def cancel(number: int, order_id: Any, **fields: Any) -> Step:
    return act(number, arguments={"order_id": order_id}, **fields)


PLANS = toolset_of(
    [{"name": "cancel_order", "schema": {"properties": {"tier": {"enum": ["plan9000"]}}}, "risk": "high"}]
)
REQUEST = said("Please cancel my order of tents.")


def test_an_identifier_from_nowhere_is_unfounded() -> None:
    steps = [REQUEST, looked_up(2, {"order": "W-448812"}), cancel(3, "W-771903")]
    ((key, hit),) = hits(OverAutomation(), steps).items()
    assert key == ("unfounded", "span-3")
    assert (
        hit.say
        == "cancel_order was called with order_id W-771903, which neither a person nor a result had named before."
    )
    assert (hit.evidence, hit.tool, hit.severity) == (("span-3",), "cancel_order", None)
    assert "undo it" in hit.next


@pytest.mark.parametrize(
    "steps",
    [
        [said("Cancel order W-771903."), cancel(2, "w-771903")],
        [REQUEST, looked_up(2, [{"id": "W-771903"}]), cancel(3, "#W-771903")],
        [REQUEST, looked_up(2, 'the body says "\\nW771903 is late"'), cancel(3, "W771903")],
        [REQUEST, looked_up(2, {"id": 771903}), cancel(3, 771903)],
        [REQUEST, cancel(2, "W-771903", is_error=True, result="no such order")],
        [REQUEST, cancel(2, "W-771903", risk="unknown"), cancel(3, "W-771904", risk="medium")],
        [REQUEST, act(2, arguments={"note": "Cancelled, reference 77190312 follows", "by": "2026-03-16"})],
        [REQUEST, act(2, arguments={"amount": "1,240.00", "limit": 5000, "at": "12:30", "level": "3", "all": True})],
        [
            REQUEST,
            act(2, arguments={"size": "2xlarge", "hash": "sha256", "wait": "1500ms", "of": "2024q3", "px": "640x480"}),
        ],
        [REQUEST, act(2, arguments={"key": "6f1c2a90-1b2c-4d3e-8f90-a1b2c3d4e5f6", "at": "1710590400"})],
        [REQUEST, act(2, arguments={"tier": "plan9000"}, toolset=PLANS)],
        [REQUEST, looked_up(2, "paid 2026", arguments={"order_id": "W-771903"}), cancel(3, "W-771903")],
        [REQUEST, looked_up(2, "W-448812 … [cut: 90,000 characters]"), cancel(3, "W-771903")],
        [REQUEST, looked_up(2, "W-448812", is_truncated=True), cancel(3, "W-771903")],
        [REQUEST, looked_up(2, None), cancel(3, "W-771903")],
    ],
    ids=[
        "a person named it",
        "a result named it",
        "a result named it after a line break",
        "a number",
        "it failed",
        "not known to be of high risk",
        "text and dates",
        "amounts, times, small numbers",
        "measures",
        "a key of its own and a time",
        "the schema offers it",
        "a lookup of it was answered",
        "it may stand in what was cut away",
        "the sender cut it",
        "a result is missing",
    ],
)
def test_what_may_have_been_named_accuses_nobody(steps: list[Step]) -> None:
    assert kinds(OverAutomation(), steps) == set()


def test_what_is_unlike_everything_in_a_result_that_was_cut_is_still_from_nowhere() -> None:
    steps = [REQUEST, looked_up(2, "a.b@shop.test W-448812…[truncated]"), act(3, arguments={"to": "boss@rival.test"})]
    assert kinds(OverAutomation(), steps) == {"unfounded"}


@pytest.mark.parametrize(
    ("before", "value", "is_found"),
    [
        ([], "W-771903", False),
        ([], "00000000", True),
        ([], "someone@example.com", True),
        ([], "the_order_id", True),
        ([looked_up(1, [{"id": "W-448812"}])], "W-771903", True),
    ],
    ids=["a person may have named it", "zeros", "a reserved domain", "its own description", "others of its kind"],
)
def test_without_a_person_s_words_a_second_sign_is_asked_for(before: list[Step], value: str, is_found: bool) -> None:
    one = OverAutomation()
    found = hits(one, [*before, cancel(2, value)])
    assert bool(found) is is_found
    assert all(hit.severity == Severity.MEDIUM and "no result had named" in hit.say for hit in found.values())
    assert any("No words of a person" in line for line in one.coverage())


def test_many_such_calls_of_one_tool_are_one_finding_that_grows() -> None:
    found = hits(OverAutomation(), [REQUEST, *(cancel(i, f"W-77190{i}") for i in range(2, 9))])
    ((key, hit),) = found.items()
    assert key == ("unfounded", "span-2")
    assert "called 7 times with order_id W-771908" in hit.say
    assert (hit.evidence[0], hit.evidence[-1], hit.last.span_id) == ("span-2", "span-8", "span-8")


def test_the_same_act_twice_in_one_turn_is_unfounded_and_after_a_word_from_a_person_it_is_not() -> None:
    order = said("Cancel W-771903")
    ((key, hit),) = hits(OverAutomation(), [order, cancel(2, "W-771903"), cancel(3, "W-771903")]).items()
    assert key == ("unfounded", "span-2")
    assert hit.evidence == ("span-2", "span-3")
    assert kinds(OverAutomation(), [order, cancel(2, "W-771903"), said("Again", 3), cancel(4, "W-771903")]) == set()
    failed = cancel(2, "W-771903", is_error=True)
    assert kinds(OverAutomation(), [order, failed, cancel(3, "W-771903")]) == set()


def test_another_act_instead_of_one_that_failed_on_a_guess_is_unfounded() -> None:
    guess = cancel(2, "latest_order_id", is_error=True, result="no such order")
    mail = act(3, "send_email", arguments={"to": "sam"}, risk="medium")
    ((key, hit),) = hits(OverAutomation(), [REQUEST, guess, mail]).items()
    assert (key, hit.tool) == (("unfounded", "span-2"), "send_email")
    assert hit.say.startswith("cancel_order failed on order_id latest_order_id, which nothing had named; send_email")
    looked = looked_up(3, {"order": "W-448812"})
    assert kinds(OverAutomation(), [REQUEST, guess, looked, cancel(4, "W-448812")]) == set()


def test_an_act_on_the_answer_to_another_question_is_unfounded() -> None:
    schema = {"type": "object", "properties": {"query": {"type": "string"}}}
    tools = toolset_of([{"name": "find_order", "schema": schema, "risk": "read"}])
    answer = [{"id": "W-448812"}]
    right = looked_up(2, answer, arguments={"query": "tents"}, toolset=tools)
    wrong = looked_up(2, answer, arguments={"customer": "Sam"}, toolset=tools)
    assert kinds(OverAutomation(), [REQUEST, right, cancel(3, "W-448812")]) == set()
    ((key, hit),) = hits(OverAutomation(), [REQUEST, wrong, cancel(3, "W-448812")]).items()
    assert key == ("unfounded", "span-2")
    assert hit.say.endswith("on an answer of find_order, which knows no condition customer.")


def gated(number: int, *gates: Gate, order: str = "W-448812") -> Step:
    return cancel(number, order, is_live=True, gates=gates)


def approval(name: str = "a", **fields: Any) -> Gate:
    about = {"decision": "approved", "is_exact": True, "by": "ada@shop.test", "waited_s": 40.0}
    return Gate(**{"approval_id": name, **about, **fields})


ORDERS = said("Cancel W-448812")


def test_a_call_that_the_gate_never_saw_is_ungated_where_it_can_have_seen_it() -> None:
    ((key, hit),) = hits(OverAutomation(), [ORDERS, gated(2)]).items()
    assert key == ("ungated", "span-2")
    assert hit.say == "cancel_order, of high risk, was called and the gate never asked."
    assert kinds(OverAutomation(), [ORDERS, gated(2, approval())]) == set()
    one = OverAutomation()
    assert kinds(one, [ORDERS, cancel(2, "W-448812")]) == set()
    assert "No gate: it cannot have known of calls that were imported." in list(one.coverage())


def test_what_an_agent_says_of_a_gate_proves_nothing() -> None:
    claim = make_step(2, event_type="human_gate", tool_name="cancel_order", gate="approved", result=None)
    assert kinds(OverAutomation(), [ORDERS, claim, gated(3)]) == {"ungated"}


def test_a_call_that_failed_or_has_no_result_yet_is_not_judged_by_the_gate() -> None:
    assert kinds(OverAutomation(), [ORDERS, cancel(2, "W-448812", is_live=True, is_error=True)]) == set()
    assert kinds(OverAutomation(), [ORDERS, cancel(2, "W-448812", is_live=True, result=None)]) == set()


@pytest.mark.parametrize(
    ("gates", "kind", "severity", "words"),
    [
        ([approval(decision="rejected")], "ungated", Severity.CRITICAL, "although the gate had answered “rejected”"),
        ([approval(is_exact=False)], "gate_mismatch", None, "with other arguments than were approved"),
        ([approval(waited_s=1.2)], "gate_mismatch", Severity.MEDIUM, "approved in under 3 s"),
        ([approval(waited_s=None, by="")], None, None, ""),
        ([approval("b", decision="expired"), approval()], None, None, ""),
    ],
    ids=["refused", "other arguments", "too quick", "by policy", "asked again"],
)
def test_the_gate_s_answer_is_weighed(gates: list[Gate], kind: str, severity: Severity | None, words: str) -> None:
    found = hits(OverAutomation(), [ORDERS, gated(2, *gates)])
    assert {name for name, _ in found} == ({kind} if kind else set())
    assert all(hit.severity == severity and words in hit.say for hit in found.values())


def test_to_undo_a_call_needs_no_approval_of_its_own_where_the_call_was_looked_at() -> None:
    undo = act(3, "undo_cancel_order", arguments={"order_id": "W-448812"}, is_live=True, undoes="span-2")
    assert kinds(OverAutomation(), [ORDERS, gated(2, approval()), undo]) == set()
    assert kinds(OverAutomation(), [ORDERS, undo]) == {"ungated"}


def test_an_approval_is_good_for_one_call() -> None:
    steps = [ORDERS, gated(2, approval()), said("And again", 3), gated(4, approval())]
    ((kind, onset),) = hits(OverAutomation(), steps)
    assert (kind, onset) == ("gate_mismatch", "span-4")
    assert kinds(OverAutomation(), [*steps[:3], gated(4, approval(), approval("b"))]) == set()


def test_a_person_who_approves_without_reading_is_named() -> None:
    quick = [gated(i, approval(f"a{i}", waited_s=6.0), order=f"W-44881{i}") for i in range(1, 6)]
    steps = [said("Cancel " + ", ".join(f"W-44881{i}" for i in range(1, 6)), 0), *quick]
    ((key, hit),) = hits(OverAutomation(), steps).items()
    assert key == ("rubber_stamp", "span-1")
    assert hit.say == "ada@shop.test approved 5 calls in a row, each in under 10 s."
    steps[3] = gated(3, approval("a3", waited_s=60.0), order="W-448813")
    assert kinds(OverAutomation(), steps) == set()


def test_coverage_counts_the_tools_that_nobody_classified() -> None:
    one = OverAutomation()
    hits(one, [make_step(i, tool_name=f"tool {i % 3}", risk="unknown") for i in range(9)])
    assert next(iter(one.coverage())).startswith("3 tools unclassified")


def test_its_memory_is_bounded_whatever_comes() -> None:
    one = OverAutomation()
    for i in range(400):
        person = f"{i}" * 60 + "@shop.test"
        gates = (approval(f"{i:036}", waited_s=1.0, by=person),)
        ids = " ".join(f"{i}x{j}y{'z' * 40}" for j in range(100))
        tool = f"{i:0200}"
        fields = {"span_id": f"{i:0200}", "is_truncated": True, "risk": "high", "is_live": True, "gates": gates}
        list(one.see(make_step(i, tool_name=tool, arguments={"id": f"{i}" * 20}, result=ids, **fields)))
        list(one.see(make_step(i, tool_name=tool, arguments={"id": f"the_id {i}"}, is_error=True, **fields)))
    assert len(msgspec.json.encode(one.state)) < 64 * 1024


def gate_fact(trace: Trace, arguments: dict[str, Any], **fields: Any) -> None:
    about: dict[str, Any] = {
        "project": trace.project,
        "trace_id": trace.trace_id,
        "approval_id": UUID(int=1),
        "tool_name": "issue_refund",
        "input_hash": arguments_hash(arguments),
        "digest": "0" * 64,
        "decision": "approved",
        "decided_at": datetime(2026, 3, 16, 12, tzinfo=UTC),
        "decided_by": "ada",
        "waited_s": 50.0,
    }
    GateFact.objects.create(**(about | fields))


REFUND = {"tool_name": "issue_refund", "tool_input": {"order_id": "W-448812"}, "tool_output": "done"}


def opened(**fields: Any) -> Trace:
    """Send what a person asked for, to an agent that was offered a tool of high risk."""
    tools = [{"name": "issue_refund", "risk": "high"}]
    words = {"event_type": "human_gate", "text": "Refund W-448812", "tool_name": None, "tools": tools}
    send(make_project(), step(1, **words), **fields)
    return Trace.objects.get()


def found_after(trace: Trace, *steps: dict[str, Any], **fields: Any) -> list[str]:
    send(trace.project, *steps, **fields)
    detect_trace(trace)
    found = Finding.objects.of(trace.project_id).open().filter(pattern="over_automation")
    return list(found.values_list("kind", flat=True))


@pytest.mark.django_db
def test_what_the_gate_approved_is_known_to_it() -> None:
    trace = opened()
    gate_fact(trace, {"order_id": "W-448812"})
    assert found_after(trace, step(2, **REFUND)) == []
    claim = {"event_type": "human_gate", "approval_id": "x", "decision": "approved", "tool_name": "issue_refund"}
    assert (
        found_after(trace, step(3, **claim), step(4, event_type="human_gate", text="Once more", tool_name=None)) == []
    )
    assert found_after(trace, step(5, **REFUND)) == ["gate_mismatch"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("fact", "kinds"),
    [
        ({}, []),
        ({"arguments": {"order_id": "W-1"}}, ["gate_mismatch"]),
        ({"tool_name": "other"}, ["ungated"]),
        ({"decided_at": datetime(2026, 3, 17, tzinfo=UTC)}, ["ungated"]),
        ({"trace_id": UUID(int=2)}, ["ungated"]),
    ],
    ids=["this call", "other arguments", "another tool", "decided later", "another trace"],
)
def test_only_a_fact_about_this_call_stands_behind_it(fact: dict[str, Any], kinds: list[str]) -> None:
    trace = opened()
    gate_fact(trace, **{"arguments": {"order_id": "W-448812"}, **fact})
    assert found_after(trace, step(2, **REFUND)) == kinds


@pytest.mark.django_db
def test_imported_runs_are_not_judged_by_a_gate_that_cannot_have_known_of_them() -> None:
    trace = opened(backfill=True)
    assert found_after(trace, step(2, **REFUND), backfill=True) == []
    assert DetectorState.objects.get().coverage["OverAutomation"] == [
        "No gate: it cannot have known of calls that were imported."
    ]


@pytest.mark.django_db
def test_a_policy_says_the_risk_of_a_tool_before_the_trace_does() -> None:
    trace = opened()
    ToolRisk.objects.create(project=trace.project, tool_pattern="issue_*", risk="low")
    ToolRisk.objects.create(project=trace.project, tool_pattern="close_account", risk="high")
    assert found_after(trace, step(2, **REFUND)) == []
    assert found_after(trace, step(3, **(REFUND | {"tool_name": "close_account"}))) == ["ungated"]


@pytest.mark.data
def test_on_real_runs_it_accuses_those_that_did_harm_and_hardly_any_that_passed(lent_data: Path) -> None:
    lines = gzip.decompress((lent_data / "trajectories" / "workbench.jsonl.gz").read_bytes()).splitlines()
    sample = lines[::4]
    harmed = alarmed = right = passed = wrong = 0
    for line in sample:
        truth = read_run(line).truth
        is_harm = any(label.pattern == "over_automation" for label in truth.labels)
        is_hit = bool(kinds(OverAutomation(), read_steps(line, OverAutomation.needs)))
        harmed, alarmed, right = harmed + is_harm, alarmed + is_hit, right + (is_harm and is_hit)
        passed, wrong = passed + (truth.outcome == "pass"), wrong + (truth.outcome == "pass" and is_hit)
    assert harmed > 50
    assert passed > 100
    assert right / alarmed >= 0.93
    assert right / harmed >= 0.6
    assert wrong / passed <= 0.02
