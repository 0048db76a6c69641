"""A run is stopped while its agent claims what was approved: nothing is claimed after the stop."""

import threading
from collections.abc import Callable

import pytest
from django.db import connection, transaction

from agentops.accounts.models import Project, Role
from approvals import services
from approvals.models import Approval
from tests.approvals.builders import fresh, make_approver, make_policy, propose
from tests.builders import make_membership, make_project
from tests.locks import start
from tests.traces.builders import send, step
from traces.containment.models import Stop
from traces.containment.services import AlreadyStoppedError, set_rules, stop
from traces.models import Trace

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 6
SOON_S = 20


@pytest.fixture
def project() -> Project:
    project = make_project()
    make_approver(project)
    make_policy(project, tier="medium")
    return project


def approved_of(project: Project, name: str) -> tuple[Trace, Approval]:
    send(project, step(trace=name))
    trace = Trace.objects.get(external_trace_id=name)
    return trace, propose(project, trace_id=trace.trace_id)


def together(*moves: Callable[[], None]) -> None:
    barrier = threading.Barrier(len(moves))

    def make(move: Callable[[], None]) -> None:
        try:
            barrier.wait(SOON_S)
            move()
        finally:
            connection.close()

    threads = [threading.Thread(target=make, args=(move,)) for move in moves]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON_S)
        assert not thread.is_alive()


def claiming(approval: Approval, key: str, claimed: list[str]) -> Callable[[], None]:
    def claim() -> None:
        try:
            services.claim(approval, key=key)
        except services.StoppedError:
            services.deny_stopped(approval)
        except (services.ClaimedError, services.NotApprovedError):
            return
        else:
            claimed.append(key)

    return claim


def stopping(trace: Trace, stopped: list[str]) -> Callable[[], None]:
    def stop_it() -> None:
        try:
            stop(Trace.objects.get(pk=trace.pk), by=None, reason="It loops.")
        except AlreadyStoppedError:
            return
        stopped.append("stopped")

    return stop_it


def test_nothing_is_claimed_after_its_run_was_stopped(project: Project) -> None:
    for n in range(ROUNDS):
        trace, approval = approved_of(project, f"run {n}")
        claimed: list[str] = []
        stopped: list[str] = []
        together(
            claiming(approval, "a", claimed),
            claiming(approval, "b", claimed),
            stopping(trace, stopped),
            stopping(trace, stopped),
        )
        now, stop_row = fresh(approval), Stop.objects.get(trace=trace)
        assert len(stopped) == 1
        assert len(claimed) == (now.action.status == "claimed")
        if claimed:
            assert now.action.claimed_at is not None
            assert now.action.claimed_at <= stop_row.stopped_at
        else:
            assert now.status == "denied"


def test_a_claim_waits_for_a_stop_that_is_under_way(project: Project) -> None:
    trace, approval = approved_of(project, "slow")
    claimed: list[str] = []
    thread = threading.Thread(target=lambda: together(claiming(approval, "a", claimed)))
    with transaction.atomic():
        stop(trace, by=None, reason="It loops.")
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()  # it has no answer before the stop is decided
    thread.join(SOON_S)
    assert (claimed, fresh(approval).status) == ([], "denied")


def test_steps_are_stored_while_somebody_sets_what_stops_a_run(project: Project) -> None:
    admin = make_membership(project, Role.ADMIN).user
    with transaction.atomic():
        set_rules(project, {"tool_loop": "high"}, by=admin)
        storing = start(lambda: send(project, step(trace="meanwhile")))
        storing.join(SOON_S)
        assert not storing.is_alive()
    assert Trace.objects.filter(external_trace_id="meanwhile").exists()
