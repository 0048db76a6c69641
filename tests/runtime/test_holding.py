"""Who may advance a run: one at a time, the newest; and what becomes of what an older one knows."""

import threading
from typing import Any

import pytest
from django.db import IntegrityError, connection

from agentops.jobs.errors import LeaseLostError
from agentops.runtime import calls, engine, quarantine
from agentops.runtime.fence import FencedOutError, take
from agentops.runtime.locks import BusyError, exclusive
from agentops.runtime.models import Compensation, LateResult, Run, RunJob, ToolCall
from agentops.runtime.services import AlreadyEndedError, cancel_run
from agentops.runtime.states import CALL_WAYS, RUN_WAYS, UNDO_WAYS, CallStatus, RunStatus, UndoStatus
from agentops.runtime.tasks import set_poisoned_runs_aside, stop_contained_runs
from agentops.runtime.tools.base import Effect
from tests.runtime.running import Desk
from traces.models import Trace

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_older_hold_writes_nothing(desk: Desk) -> None:
    run = desk.start()
    (job,) = RunJob.objects.claim()
    old = take(job)
    take(job)
    with pytest.raises(FencedOutError), old.transaction():
        pytest.fail("it was let in")
    assert Run.objects.get(pk=run.pk).fence == 2


def test_whoever_lost_the_lease_does_not_get_the_run(desk: Desk) -> None:
    desk.start()
    (job,) = RunJob.objects.claim()
    RunJob.objects.update(lease_until="2020-01-01T00:00Z")
    (other,) = RunJob.objects.claim()
    with pytest.raises(LeaseLostError):
        take(job)
    assert take(other).fence == 1


def taken_over(desk: Desk, run: Run, monkeypatch: pytest.MonkeyPatch, tool: str) -> None:
    """Advance a run, of which another process takes hold while the tool is at work."""
    made = type(desk.parts.tools[tool]).execute

    def slow(self: Any, arguments: dict[str, Any], call: Any) -> Any:
        result = made(self, arguments, call)
        Run.objects.filter(pk=run.pk).update(fence=run.fence + 100)
        return result

    with monkeypatch.context() as patched:
        patched.setattr(type(desk.parts.tools[tool]), "execute", slow)
        desk.advance(run)


@pytest.mark.parametrize("tool", ["send_email", "book", "issue_refund"])
def test_what_a_fenced_process_learned_is_adopted_by_the_next(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, tool: str
) -> None:
    desk.allow("send_email", "book", "issue_refund")
    run = desk.start([[tool, {"order": 1}]])
    taken_over(desk, run, monkeypatch, tool)
    assert desk.calls(run)[0].status == "executing"
    assert LateResult.objects.get().outcome == "succeeded"
    RunJob.objects.update(lease_until="2020-01-01T00:00Z")
    run = desk.advance(run)
    assert run.status == "succeeded"
    assert list(desk.outside.count(tool).values()) == [1]
    assert desk.calls(run)[0].attempt == 1


def test_a_late_result_also_settles_what_a_person_was_asked_about(desk: Desk) -> None:
    desk.allow("send_email")
    run = desk.advance(desk.start([["send_email", {"order": 1, "act": "break after"}]]), times=2)
    assert run.status == "needs_person"
    LateResult.objects.create(call=desk.calls(run)[0], n=1, outcome="succeeded", result={"sent": True})
    desk.wake(run)
    run = desk.advance(run)
    assert run.status == "succeeded"
    assert desk.trace(run).status == "ok"


def test_a_process_that_sleeps_over_an_unsafe_call_holds_the_others_off(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.allow("send_email")
    run = desk.start([["send_email", {"order": 1, "act": "break"}]])
    desk.advance(run)
    (call,) = desk.calls(run)
    with exclusive(call.key, Effect.UNSAFE):
        assert desk.advance(run).status == "running"
        with pytest.raises(BusyError), exclusive(call.key, Effect.UNSAFE):
            pytest.fail("two hold it")
    assert desk.advance(run).status == "needs_person"


def test_an_attempt_that_comes_too_late_is_not_begun_and_is_made_anew(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.allow("send_email")
    run = desk.start([["send_email", {"order": 1}]])
    with monkeypatch.context() as patched:
        patched.setattr(calls, "MAY_BEGIN_WITHIN_S", -1.0)
        patched.setattr(engine, "SLICE_S", 0.2)
        desk.advance(run)
    assert desk.outside.count("send_email").total() == 0
    run = desk.advance(run)
    assert run.status == "succeeded"
    assert list(desk.outside.count("send_email").values()) == [1]


def test_a_key_that_the_other_side_has_forgotten_is_not_used_again(desk: Desk) -> None:
    desk.allow("issue_refund")
    run = desk.advance(desk.start([["issue_refund", {"order": 1, "act": "break once"}]]))
    (call,) = desk.calls(run)
    call.attempts.update(started_at="2020-01-01T00:00Z")
    run = desk.advance(run)
    assert (run.status, desk.calls(run)[0].status) == ("needs_person", "unknown")


def test_a_refusal_does_not_say_that_an_attempt_before_did_nothing(desk: Desk) -> None:
    desk.allow("issue_refund")
    run = desk.advance(desk.start([["issue_refund", {"order": 1, "act": "break, then refuse"}]]), times=6)
    assert (run.status, desk.calls(run)[0].status) == ("needs_person", "unknown")
    assert list(desk.outside.count("issue_refund").values()) == [1]


def test_two_workers_on_one_run_make_each_call_once(desk: Desk) -> None:
    desk.allow("issue_refund", "book", "send_email")
    turns = [[["issue_refund", {"order": 1}], ["book", {"order": 1}], ["send_email", {"order": 1}]]]
    runs = [desk.start(*turns) for _ in range(3)]
    go = threading.Barrier(4)

    def work() -> None:
        go.wait()
        for _ in range(6):
            for job in RunJob.objects.claim(limit=3):
                job.finish(again_in=engine.advance(job, desk.parts))
        connection.close()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [desk.fresh(run).status for run in runs] == ["succeeded"] * 3
    for tool in ("issue_refund", "book", "send_email"):
        assert list(desk.outside.count(tool).values()) == [1] * 3


def test_a_transactional_call_and_its_record_are_one(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from agentops.runtime import records
    from tests.probe.models import ProbeRun

    run = desk.start([["note", {"order": 7}]])

    def broken(*_: Any) -> None:
        raise RuntimeError("cut off")

    with monkeypatch.context() as patched:
        patched.setattr(records, "write", broken)
        with pytest.raises(RuntimeError):
            desk.advance(run)
    assert not ProbeRun.objects.exists()
    RunJob.objects.update(lease_until="2020-01-01T00:00Z")
    assert desk.advance(run).status == "succeeded"
    assert ProbeRun.objects.filter(revision=7).count() == 1


def test_a_transactional_call_that_fails_leaves_nothing_and_its_effect_can_be_undone(desk: Desk) -> None:
    from tests.probe.models import ProbeRun

    run = desk.advance(desk.start([["note", {"order": 1, "act": "refuse"}]]))
    assert desk.results(run)[0]["status"] == "error"
    assert not ProbeRun.objects.exists()
    run = desk.advance(desk.start([["note", {"order": 2}]], {"fail": "x", "fatal": True}))
    assert run.status == "rolled_back"
    assert not ProbeRun.objects.exists()


def test_a_run_whose_trace_was_stopped_is_cancelled_and_undone(desk: Desk) -> None:
    desk.allow("charge")
    run = desk.advance(desk.start([["charge", {"order": 1}]], [["issue_refund", {"order": 1}]]))
    Trace.objects.filter(trace_id=run.trace_id).update(stopped_at="2026-01-01T00:00Z")
    stop_contained_runs()
    run = desk.advance(run)
    assert (run.status, run.reason) == ("cancelled", "Stopped: this run was stopped.")
    assert desk.undoing(run)[0].status == "done"


def test_a_run_that_ended_cannot_be_cancelled(desk: Desk) -> None:
    run = desk.advance(desk.start())
    with pytest.raises(AlreadyEndedError):
        cancel_run(run, by=desk.starter)


def test_cancelling_what_could_not_be_undone_tries_once_more(desk: Desk) -> None:
    desk.allow("charge")
    run = desk.advance(desk.start([["charge", {"order": 1, "act": "never undo"}]], {"fail": "x", "fatal": True}))
    assert run.status == "needs_person"
    Compensation.objects.update(arguments={"order": 1})  # the bank has come round
    cancel_run(run, by=desk.starter)
    run = desk.advance(run)
    assert run.status == "cancelled"
    assert desk.undoing(run)[0].status == "done"


def test_a_run_that_takes_its_process_with_it_every_time_is_left_to_a_person_and_goes_on_when_released(
    desk: Desk,
) -> None:
    run = desk.start([["look_up", {"order": 1}]])
    for _ in range(RunJob.max_attempts + 1):
        RunJob.objects.claim()
        RunJob.objects.exclude(lease_id=None).update(lease_until="2020-01-01T00:00Z")
    set_poisoned_runs_aside()
    assert desk.fresh(run).status == "needs_person"
    assert quarantine.set_aside_given_up(at_most=9) == 0
    RunJob.objects.all().release()
    assert desk.advance(run).status == "succeeded"


def every_way(model: Any, statuses: Any, ways: dict[str, tuple[str, ...]]) -> list[tuple[Any, str, str, bool]]:
    return [(model, str(old), str(new), new in ways.get(old, ())) for old in statuses for new in statuses if old != new]


def test_the_database_refuses_every_way_between_statuses_that_there_is_not(desk: Desk) -> None:
    desk.allow("charge")
    run = desk.advance(desk.start([["charge", {"order": 1}]]))
    extra = {RunStatus: {"ends_as": "failed"}, CallStatus: {}, UndoStatus: {}}
    judged = [
        *((RunStatus, *way) for way in every_way(Run, RunStatus, RUN_WAYS)),
        *((CallStatus, *way) for way in every_way(ToolCall, CallStatus, CALL_WAYS)),
        *((UndoStatus, *way) for way in every_way(Compensation, UndoStatus, UNDO_WAYS)),
    ]
    wrong = []
    for kind, model, old, new, is_way in judged:
        row = model.objects.get(pk=run.pk) if model is Run else model.objects.get(run=run)
        with connection.cursor() as cursor:
            table = model._meta.db_table
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {table}_ways")
            waits = {"waiting_since": "2026-01-01T00:00Z" if old == "waiting_approval" else None}
            model.objects.filter(pk=row.pk).update(status=old, **extra[kind], **(waits if model is Run else {}))
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER {table}_ways")
        waits = {"waiting_since": "2026-01-01T00:00Z" if new == "waiting_approval" else None}
        try:
            model.objects.filter(pk=row.pk).update(status=new, **(waits if model is Run else {}))
            was_let = True
        except IntegrityError:
            was_let = False
        if was_let != is_way:
            wrong.append((model.__name__, old, new))
    assert wrong == []
