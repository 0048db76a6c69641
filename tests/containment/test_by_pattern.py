"""Patterns that are set to stop a run: the run they are found in is stopped, and nothing more of it passes the gate."""

from typing import Any

import pytest

from agentops.accounts.models import Project, Role
from agentops.audit.models import Entry
from tests.alerts.builders import looping, run_jobs
from tests.approvals.builders import make_approver
from tests.builders import make_membership, make_project
from tests.runtime.running import Desk
from tests.traces.builders import send
from traces.containment.models import Stop
from traces.containment.services import set_rules
from traces.models import Span, Trace

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    project = make_project()
    make_approver(project)
    return project


def let_stop(project: Project, **rules: str) -> None:
    set_rules(project, rules, by=make_membership(project, Role.ADMIN).user)


def test_nothing_stops_a_run_unless_it_is_set(project: Project) -> None:
    send(project, *looping())
    run_jobs()
    assert Trace.objects.get().stopped_at is None


@pytest.mark.parametrize(("severity", "is_stopped"), [("low", True), ("critical", False)])
def test_a_pattern_stops_the_run_from_its_severity_on(project: Project, severity: str, is_stopped: bool) -> None:
    let_stop(project, tool_loop=severity)
    send(project, *looping())
    run_jobs()
    assert (Trace.objects.get().stopped_at is not None) == is_stopped


def test_another_pattern_an_imported_run_and_one_that_has_ended_are_left_alone(project: Project) -> None:
    let_stop(project, bad_signature="low")
    send(project, *looping("other pattern"))
    run_jobs()
    let_stop(project, tool_loop="low")
    send(project, *looping("imported"))
    Trace.objects.filter(external_trace_id="imported").update(backfill=True)
    send(project, *looping("ended", trace_status="ok"))
    run_jobs()
    assert not Trace.objects.exclude(stopped_at=None).exists()


def test_time_to_contain_counts_from_the_onset_and_from_the_receipt(project: Project) -> None:
    let_stop(project, tool_loop="low")
    send(project, *looping())
    run_jobs()
    stop = Stop.objects.select_related("trace").get()
    assert (stop.pattern, stop.by, stop.stopped_at) == ("tool_loop", None, stop.trace.stopped_at)
    assert stop.since_onset is not None
    assert stop.since_receipt is not None
    assert stop.since_onset > stop.since_receipt
    assert stop.since_onset.total_seconds() >= 1.0
    assert 0 <= stop.since_receipt.total_seconds() < 30.0
    entry = Entry.objects.get(action="run.stopped")
    assert (entry.actor_kind, entry.target_kind, entry.detail["pattern"]) == ("system", "trace", "tool_loop")


def test_steps_that_still_arrive_are_kept(project: Project) -> None:
    let_stop(project, tool_loop="low")
    send(project, *looping())
    run_jobs()
    send(project, *looping(calls=6))
    run_jobs()
    assert Span.objects.of(project).count() == 6
    assert Stop.objects.count() == 1


def test_a_run_of_the_built_in_agent_that_loops_is_stopped_and_what_it_did_is_undone(
    desk: Desk, django_capture_on_commit_callbacks: Any
) -> None:
    let_stop(desk.project, tool_loop="low")
    desk.allow("charge")
    looks = [[["look_up", {"order": 1}]]] * 6
    run = desk.advance(desk.start([["charge", {"order": 1}]], *looks, [["issue_refund", {"order": 1}]]))
    assert run.status == "waiting_approval"
    with django_capture_on_commit_callbacks(execute=True):
        run_jobs()
    assert Trace.objects.get(trace_id=run.trace_id).stopped_at is not None
    (waiting,) = [one for one in desk.approvals(run) if one.action.tool_name == "issue_refund"]
    assert waiting.status == "denied"
    run = desk.advance(run)
    assert run.status == "cancelled"
    assert run.reason.startswith("Stopped: ")
    assert [undo.status for undo in desk.undoing(run)] == ["done"]
    assert desk.outside.count("issue_refund").total() == 0
    assert desk.outside.count("undo").total() == 1
