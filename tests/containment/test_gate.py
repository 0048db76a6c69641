"""A run that was stopped, and its agent that runs elsewhere: each next question to the gate is denied."""

from typing import Any

import pytest

from agentops.accounts.models import Membership, Project
from approvals.models import Approval
from approvals.services import deny_stopped
from approvals.tasks import deny_stopped as sweep
from tests.approvals.agent import Agent
from tests.approvals.builders import decide, fresh, make_approver, make_policy
from tests.builders import make_project, make_user
from tests.traces.builders import send, step
from traces.containment.models import Stop
from traces.containment.services import stop
from traces.models import Trace
from traces.threads.models import Part

pytestmark = pytest.mark.django_db

RUN = "run 7"


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def approver(project: Project) -> Membership:
    return make_approver(project)


@pytest.fixture
def agent(project: Project, approver: Membership) -> Agent:
    send(project, step(trace=RUN))
    return Agent(project)


def stop_it() -> Stop:
    return stop(Trace.objects.get(), by=make_user(name="Ada"), reason="It pays everybody.")


def asked(agent: Agent, trace_id: str = RUN, **more: Any) -> Approval:
    return Approval.objects.whole().get(pk=agent.ask(trace_id=trace_id, **more).json()["id"])


def test_asking_is_denied_with_the_reason(agent: Agent) -> None:
    make_policy(agent.project, tier="low")
    stop_it()
    said = agent.ask(trace_id=RUN).json()
    assert (said["status"], said["comment"]) == ("denied", "stopped: It pays everybody (by Ada)")
    assert agent.ask(trace_id="another run").json()["status"] == "approved"


def test_who_waits_is_denied_with_the_reason_as_soon_as_the_stop_is_announced(
    agent: Agent, django_capture_on_commit_callbacks: Any
) -> None:
    waiting, other = asked(agent), asked(agent, "another run")
    with django_capture_on_commit_callbacks(execute=True):
        stop_it()
    said = agent.get(f"/{waiting.pk}").json()
    assert (said["status"], said["comment"]) == ("denied", "stopped: It pays everybody (by Ada)")
    assert agent.claim(waiting.pk).status_code == 409
    assert fresh(other).status == "pending"


def test_what_was_approved_before_cannot_be_claimed_after(agent: Agent, approver: Membership) -> None:
    approval = decide(asked(agent), approver)
    stop_it()  # and nobody was told yet
    answer = agent.claim(approval.pk)
    assert (answer.status_code, answer.json()["approval_status"]) == (409, "denied")
    assert "stopped: It pays everybody" in answer.json()["detail"]
    assert fresh(approval).action.status == "proposed"


def test_what_was_claimed_before_may_still_be_reported(agent: Agent, approver: Membership) -> None:
    approval = decide(asked(agent), approver)
    granted = agent.claim(approval.pk).json()
    stop_it()
    sweep()
    assert agent.claim(approval.pk).json() == granted  # the same answer: it may have begun
    assert agent.report(approval.pk).status_code == 200
    assert (fresh(approval).status, fresh(approval).action.status) == ("approved", "succeeded")


def test_a_lost_announcement_costs_seconds_and_what_was_asked_meanwhile_is_found(agent: Agent) -> None:
    approval = asked(agent)
    stopped = stop_it()
    sweep()
    assert fresh(approval).status == "denied"
    late = asked(agent, "asked before, stored after")
    late.action.trace_id = stopped.trace.trace_id
    late.action.save()
    sweep()
    assert fresh(late).status == "denied"


def test_a_stop_is_looked_after_for_a_minute(agent: Agent) -> None:
    stopped = stop_it()
    sweep()
    assert Stop.objects.unsettled().exists()
    Stop.objects.update(stopped_at=stopped.trace.received_at.replace(year=2026, month=1, day=1))
    sweep()
    assert not Stop.objects.unsettled().exists()


def test_a_thread_is_stopped_under_each_id_of_its_calls(agent: Agent) -> None:
    part = asked(agent, "one call")
    assert part.action.trace_id is not None
    Part.objects.create(project=agent.project, trace_id=part.action.trace_id, thread=Trace.objects.get().trace_id)
    stop_it()
    sweep()
    assert fresh(part).status == "denied"


def test_only_what_was_stopped_is_denied(agent: Agent) -> None:
    assert not deny_stopped(asked(agent))
    assert agent.ask().json()["status"] == "pending"  # of no trace at all
