"""The trace of a run: told while it goes on, once, in dense numbers, with everything that was decided."""

import pytest

from agentops.runtime import story
from agentops.runtime.fence import Hold
from tests.runtime.running import Desk
from traces.models import GateFact

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_steps_of_a_run_are_there_while_it_waits_and_all_of_them_at_its_end(desk: Desk) -> None:
    run = desk.advance(desk.start([["look_up", {"order": 1}]], [["issue_refund", {"order": 1}]]))
    trace = desk.trace(run)
    assert (trace.status, trace.agent, trace.source) == ("running", "desk", "runtime")
    assert [step.event_type for step in desk.steps(run)] == [
        "human_gate", "model_response", "tool_call", "model_response", "human_gate",
    ]  # fmt: skip
    desk.decide(run)
    run = desk.advance(run)
    steps = desk.steps(run)
    assert [step.event_type for step in steps][4:] == ["human_gate", "tool_call", "model_response"]
    assert [step.step_number for step in steps] == list(range(1, len(steps) + 1))
    assert not any(step.revised or step.repaired for step in steps)
    assert desk.trace(run).status == "ok"
    gate = steps[4]
    assert (gate.decision, gate.agent) == ("approved", str(desk.approver.user))
    assert gate.approval_id == str(desk.approvals(run)[-1].pk)
    assert GateFact.objects.get(trace_id=run.trace_id, approval_id=gate.approval_id).decision == "approved"
    assert steps[5].approval_id == gate.approval_id


def test_the_answer_tells_tokens_cost_and_the_tools_that_were_offered(desk: Desk) -> None:
    run = desk.advance(desk.start([["look_up", {"order": 1}]]))
    answer = desk.steps(run)[1]
    assert (answer.input_tokens, answer.output_tokens, float(answer.cost_usd)) == (100, 10, 0.001)
    assert answer.toolset is not None
    assert {tool["name"]: tool["risk"] for tool in answer.toolset.tools}["look_up"] == "low"
    assert desk.trace(run).input_tokens == 200


def test_telling_a_step_twice_changes_nothing(desk: Desk) -> None:
    run = desk.advance(desk.start([["look_up", {"order": 1}]]))
    before = [(step.span_id, step.arrival, step.revised) for step in desk.steps(run)]
    (call,) = desk.calls(run)
    attempt = call.attempts.get()
    with Hold(run.pk, run.fence).transaction() as held:
        story.called(held, call, at=attempt.started_at, ended_at=attempt.finished_at)
    assert [(step.span_id, step.arrival, step.revised) for step in desk.steps(run)] == before


def test_a_run_that_fails_and_is_undone_says_so(desk: Desk) -> None:
    desk.allow("charge")
    run = desk.advance(desk.start([["charge", {"order": 1}]], {"fail": "gone", "fatal": True}))
    steps = desk.steps(run)
    assert desk.trace(run).status == "error"
    undo = steps[-1]
    assert (undo.tool_name, undo.is_error) == ("undo_charge", False)
    assert undo.attributes == {"agentops.compensates": "call-1-0"}
    assert [step.event_type for step in steps].count("error") == 2


def test_text_that_postgres_does_not_take_is_repaired_before_it_is_journaled(desk: Desk) -> None:
    run = desk.advance(desk.start([["look_up", {"order": 1, "act": "a\x00b"}]]))
    assert run.status == "succeeded"
    assert desk.calls(run)[0].arguments["act"] == "a�b"
