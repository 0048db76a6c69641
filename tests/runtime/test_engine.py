"""A run from its start to its end, on a real Postgres, with a scripted model and counted effects."""

import pytest
from django.db import transaction

from agentops.audit.models import Entry
from agentops.runtime.models import RunJob
from agentops.runtime.services import cancel_run, start_run
from approvals.models import Approval
from tests.locks import SOON_S, is_trail_free, start, wait_for_company
from tests.runtime.running import Desk, due_in

pytestmark = pytest.mark.django_db(transaction=True)

LOOK = ["look_up", {"order": 1}]
REFUND = ["issue_refund", {"order": 1, "amount": 40}]
CHARGE = ["charge", {"order": 1, "amount": 40}]
BOOK = ["book", {"order": 1}]
MAIL = ["send_email", {"order": 1}]


def test_a_run_calls_its_tool_and_ends_well(desk: Desk) -> None:
    run = desk.advance(desk.start([LOOK]))
    assert run.status == "succeeded"
    assert desk.results(run) == [{"order": 1, "done": "look_up"}]
    assert not RunJob.objects.filter(run=run).exists()
    assert desk.outside.count("look_up").total() == 1


def test_the_model_is_given_its_tools_results_in_the_order_of_its_calls(desk: Desk) -> None:
    desk.advance(desk.start([LOOK, ["look_up", {"order": 2}]]))
    last = desk.parts.model.asked[-1].messages
    assert [message["role"] for message in last] == ["user", "assistant", "user"]
    uses = [block["id"] for block in last[1]["content"] if block["type"] == "tool_use"]
    assert [block["tool_use_id"] for block in last[2]["content"]] == uses
    assert '"order": 1' in last[2]["content"][0]["content"]
    assert '"order": 2' in last[2]["content"][1]["content"]


def test_a_call_that_needs_a_person_waits_for_one_and_then_happens_once(desk: Desk) -> None:
    run = desk.advance(desk.start([LOOK], [REFUND]))
    assert run.status == "waiting_approval"
    assert not RunJob.objects.filter(run=run).exists()
    assert desk.outside.count("issue_refund").total() == 0
    desk.decide(run)
    run = desk.advance(run)
    assert run.status == "succeeded"
    assert list(desk.outside.count("issue_refund").values()) == [1]
    (undo,) = desk.undoing(run)
    assert undo.status == "not_needed"
    assert desk.approvals(run)[-1].action.status == "succeeded"


def test_several_calls_of_one_answer_are_asked_for_together_and_made_in_order(desk: Desk) -> None:
    run = desk.advance(desk.start([REFUND, LOOK, MAIL]))
    assert [call.status for call in desk.calls(run)] == ["waiting_approval", "ready", "waiting_approval"]
    desk.decide(run)
    run = desk.advance(run)
    assert run.status == "succeeded"
    made = [what for what, _ in desk.outside.lines() if what in ("issue_refund", "look_up", "send_email")]
    assert made == ["issue_refund", "look_up", "send_email"]


def test_arguments_that_a_person_edited_are_those_that_run(desk: Desk) -> None:
    from tests.approvals.builders import make_approver

    second = make_approver(desk.project)
    run = desk.advance(desk.start([REFUND]))
    desk.decide(run, arguments={"order": 2, "amount": 30})
    desk.approver = second  # four eyes: who edited does not approve
    desk.decide(run)
    run = desk.advance(run)
    assert run.status == "succeeded"
    (call,) = desk.calls(run)
    assert call.result["order"] == 2
    assert call.arguments["order"] == 1
    assert desk.undoing(run)[0].arguments == {"order": 2, "amount": 30}


def test_a_rejected_call_is_told_to_the_model_and_not_asked_again(desk: Desk) -> None:
    run = desk.advance(desk.start([REFUND], [LOOK], [REFUND]))
    desk.decide(run, "reject", comment="wrong order")
    run = desk.advance(run)
    assert run.status == "succeeded"
    first, _, again = desk.results(run)
    assert (first["status"], first["reason"]) == ("rejected_by_human", "wrong order")
    assert first["retry"] == "do not repeat this call"
    assert again["status"] == "rejected_by_human"
    assert len([each for each in desk.approvals(run) if each.action.tool_name == "issue_refund"]) == 1
    assert desk.outside.count("issue_refund").total() == 0


def test_an_answered_call_carries_the_answer(desk: Desk) -> None:
    run = desk.advance(desk.start([REFUND]))
    desk.decide(run, "answer", comment="ask for the receipt first")
    run = desk.advance(run)
    (result,) = desk.results(run)
    assert (result["status"], result["reason"]) == ("answered", "ask for the receipt first")


def test_an_approval_that_expires_is_told_as_expired(desk: Desk) -> None:
    from django.db.models.functions import Now

    from approvals.models import Approval
    from approvals.tasks import expire

    run = desk.advance(desk.start([REFUND]))
    Approval.objects.filter(action__run_id=run.pk).update(expires_at=Now())
    expire()
    desk.wake(run)
    run = desk.advance(run)
    assert run.status == "succeeded"
    assert desk.results(run)[0]["status"] == "expired"


def test_an_approval_that_was_not_used_in_time_is_asked_for_again(desk: Desk) -> None:
    from django.db.models.functions import Now

    from approvals.models import Approval

    run = desk.advance(desk.start([REFUND]))
    desk.decide(run)
    Approval.objects.filter(action__run_id=run.pk).update(execute_by=Now())
    run = desk.advance(run)
    assert run.status == "waiting_approval"
    assert [approval.status for approval in desk.approvals(run)] == ["superseded", "pending"]
    desk.decide(run)
    assert desk.advance(run).status == "succeeded"
    assert list(desk.outside.count("issue_refund").values()) == [1]


def test_a_policy_that_changed_since_the_approval_is_asked_about_again(desk: Desk) -> None:
    from tests.approvals.builders import make_policy

    run = desk.advance(desk.start([REFUND]))
    desk.decide(run)
    make_policy(desk.project, "issue_refund", "high", execute_within_s=60)
    run = desk.advance(run)
    assert run.status == "waiting_approval"
    assert [approval.status for approval in desk.approvals(run)] == ["superseded", "pending"]
    assert desk.outside.count("issue_refund").total() == 0


def test_a_tool_that_changed_since_the_approval_is_asked_about_again(desk: Desk) -> None:
    from tests.runtime.desk import desk as make

    run = desk.advance(desk.start([REFUND]))
    desk.decide(run)
    desk.parts = make(desk.outside.path, versions={"issue_refund": "2"})
    run = desk.advance(run)
    assert run.status == "waiting_approval"
    desk.decide(run)
    assert desk.advance(run).status == "succeeded"
    assert desk.calls(run)[0].definition_hash == "2"


def test_a_recoverable_error_is_told_to_the_model_and_rolls_nothing_back(desk: Desk) -> None:
    desk.allow("issue_refund", "charge")
    run = desk.advance(desk.start([CHARGE], [["issue_refund", {"order": 1, "act": "refuse"}]]))
    assert run.status == "succeeded"
    assert desk.results(run)[1] == {"status": "error", "reason": "the order is closed"}
    assert [undo.status for undo in desk.undoing(run)] == ["not_needed", "not_needed"]
    assert desk.outside.count("undo").total() == 0


def test_an_unknown_tool_and_wrong_arguments_are_refused_with_what_would_be_right(desk: Desk) -> None:
    run = desk.advance(desk.start([["lookup", {"order": 1}], ["look_up", {"order": "one"}]]))
    unknown, wrong = desk.results(run)
    assert (unknown["status"], unknown["did_you_mean"][0]) == ("unknown_tool", "look_up")
    assert wrong["errors"] == [
        {"path": "/order", "problem": "'one' is not of type 'integer'", "got": "one", "expected": {"type": "integer"}}
    ]
    assert wrong["schema"]["required"] == ["order"]
    assert [call.status for call in desk.calls(run)] == ["invalid", "invalid"]


def test_a_tool_called_too_often_meets_the_breaker_also_across_processes(desk: Desk) -> None:
    run = desk.advance(desk.start(*[[["look_up", {"order": number}]] for number in range(6)]))
    assert [call.status for call in desk.calls(run)] == ["succeeded"] * 5 + ["denied"]
    assert desk.results(run)[-1]["status"] == "circuit_open"


def test_an_identical_call_in_a_row_meets_the_guard(desk: Desk) -> None:
    run = desk.advance(desk.start([LOOK], [LOOK]))
    assert [result.get("status") for result in desk.results(run)] == [None, "repeated_call"]


def test_a_model_that_fails_is_asked_again_at_a_due_time(desk: Desk) -> None:
    run = desk.advance(desk.start({"fail": "overloaded", "times": 2, "retry_after_s": 30.0}))
    assert run.status == "running"
    assert 25 < due_in(run).total_seconds() <= 30
    run = desk.advance(run, times=2)
    assert run.status == "succeeded"
    assert run.model_failures == 0


def test_a_model_that_fails_for_good_fails_the_run_and_its_effects_are_undone(desk: Desk) -> None:
    desk.allow("charge", "issue_refund")
    run = desk.advance(desk.start([CHARGE], [REFUND], {"fail": "no such model", "fatal": True}))
    assert run.status == "rolled_back"
    assert "no such model" in run.reason
    keys = [call.key for call in desk.calls(run)]
    assert [key for what, key in desk.outside.lines() if what == "undo"] == [f"{key}-undo" for key in reversed(keys)]


def test_what_a_run_may_not_exceed_ends_it(desk: Desk) -> None:
    run = desk.start([LOOK], [LOOK])
    type(run).objects.filter(pk=run.pk).update(max_tokens=200)
    run = desk.advance(run)
    assert run.status == "failed"
    assert run.reason == "The budget of 200 tokens is used up."


def test_a_waiting_run_that_is_cancelled_withdraws_what_it_asked_for_and_undoes_the_rest(desk: Desk) -> None:
    desk.allow("charge")
    run = desk.advance(desk.start([CHARGE], [REFUND]))
    cancel_run(run, by=desk.starter)
    run = desk.advance(run)
    assert run.status == "cancelled"
    assert [call.status for call in desk.calls(run)] == ["succeeded", "cancelled"]
    assert desk.approvals(run)[-1].status == "cancelled"
    assert [undo.status for undo in desk.undoing(run)] == ["done"]
    assert desk.outside.count("issue_refund").total() == 0


def test_a_run_that_is_cancelled_while_somebody_decides_leaves_them_the_audit_trail(desk: Desk) -> None:
    run = desk.advance(desk.start([REFUND]))
    cancel_run(run, by=desk.starter)
    (approval,) = desk.approvals(run)
    with transaction.atomic():
        Approval.objects.filter(pk=approval.pk).update(comment="let me see")  # as a decision has its row
        cancelling = start(lambda: desk.advance(run))
        wait_for_company()
        assert is_trail_free(desk.project)  # which they write to next
    cancelling.join(SOON_S)
    assert desk.fresh(run).status == desk.approvals(run)[0].status == "cancelled"
    ends = Entry.objects.of(desk.project).order_by("seq").values_list("action", flat=True)
    assert list(ends)[-2:] == ["run.ended", "approval.cancelled"]


def test_an_undoing_that_fails_is_tried_again_later(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.allow("charge")
    run = desk.advance(desk.start([["charge", {"order": 1, "act": "undo late"}]], {"fail": "x", "fatal": True}))
    assert run.status == "rolling_back"
    assert 0 < due_in(run).total_seconds() <= 1
    for _ in range(2):
        run.compensations.update(next_at="2020-01-01T00:00Z")
        run = desk.advance(run)
    assert run.status == "rolled_back"
    assert desk.undoing(run)[0].attempts == 3


def test_what_cannot_be_undone_is_an_alert_that_says_the_steps_to_take(desk: Desk) -> None:
    from agentops.notify.models import FeedItem
    from traces.alerts.models import Alert

    desk.allow("charge", "issue_refund")
    never = ["issue_refund", {"order": 1, "act": "never undo"}]
    run = desk.advance(desk.start([CHARGE], [never], {"fail": "x", "fatal": True}))
    assert run.status == "needs_person"
    assert [undo.status for undo in desk.undoing(run)] == ["registered", "dead"]
    alert = Alert.objects.get(project=desk.project)
    assert (alert.pattern, alert.severity, alert.tool_name) == ("compensation_failed", "critical", "issue_refund")
    assert alert.next_step == "Call the bank about order 1, which was paid."
    assert alert.last_trace is not None
    assert alert.last_trace.trace_id == run.trace_id
    (notice,) = FeedItem.objects.filter(project=desk.project)
    assert (notice.kind, notice.severity) == ("alert.opened", "critical")
    assert "Call the bank about order 1, which was paid." in notice.body


def test_an_unsafe_call_whose_outcome_is_unknown_is_never_repeated(desk: Desk) -> None:
    from agentops.notify.models import FeedItem

    desk.allow("send_email")
    run = desk.advance(desk.start([["send_email", {"order": 1, "act": "break after"}]]), times=2)
    assert run.status == "needs_person"
    assert list(desk.outside.count("send_email").values()) == [1]
    assert desk.calls(run)[0].status == "unknown"
    assert desk.approvals(run)[0].action.status == "unknown"
    assert FeedItem.objects.filter(project=desk.project, kind="run.needs_person").count() == 1
    assert desk.advance(run).status == "needs_person"


@pytest.mark.parametrize("tool", ["issue_refund", "book", "look_up"])
def test_a_call_that_may_be_repeated_or_asked_for_comes_to_its_end_with_one_effect(desk: Desk, tool: str) -> None:
    desk.allow("issue_refund", "book")
    run = desk.advance(desk.start([[tool, {"order": 1, "act": "break after"}]]), times=2)
    assert run.status == "succeeded"
    if tool != "look_up":
        assert list(desk.outside.count(tool).values()) == [1]


def test_starting_twice_with_one_key_starts_one_run(desk: Desk) -> None:
    first = desk.start(key="a")
    assert desk.start(key="a").pk == first.pk
    assert desk.start(key="b").pk != first.pk
    assert start_run(desk.project, agent="desk", input='["x"]', by=None).started_by is None
