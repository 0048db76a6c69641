"""What detectors make of runs of the built-in agent: gated calls and undone changes are no failures."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from agentops.runtime.models import Run
from tests.runtime.running import Desk
from traces.detectors.fold import detect_trace
from traces.detectors.models import Finding
from traces.models import GateFact, Trace

pytestmark = pytest.mark.django_db

REFUND = ["issue_refund", {"order": 1001}]
CHARGE = ["charge", {"order": 1001}]
GONE = {"fail": "no such model", "fatal": True}


def found(desk: Desk, run: Run) -> list[tuple[str, str]]:
    """Return what is found once the trace has been closed for a minute."""
    Trace.objects.filter(pk=desk.trace(run).pk).update(closed_at=Now() - timedelta(minutes=1))
    detect_trace(desk.trace(run))
    return sorted(Finding.objects.of(desk.project).open().values_list("pattern", "kind"))


@pytest.mark.parametrize(("waited_s", "kinds"), [(60.0, []), (1.0, [("over_automation", "gate_mismatch")])])
def test_a_call_that_a_person_approved_is_gated_unless_nobody_can_have_read_it(
    desk: Desk, waited_s: float, kinds: list[tuple[str, str]]
) -> None:
    run = desk.advance(desk.start([["look_up", {"order": 1001}]], [REFUND]))
    desk.decide(run)
    GateFact.objects.exclude(decided_by="").update(waited_s=waited_s)
    run = desk.advance(run)
    assert run.status == "succeeded"
    assert found(desk, run) == kinds


def test_a_call_that_a_person_rejected_was_not_made(desk: Desk) -> None:
    run = desk.advance(desk.start([REFUND]))
    desk.decide(run, "reject", comment="Not this one.")
    assert found(desk, desk.advance(run)) == []


def test_a_run_that_failed_and_undid_all_of_it_left_nothing_half_done(desk: Desk) -> None:
    desk.allow("charge", "issue_refund")
    run = desk.advance(desk.start([CHARGE], [REFUND], GONE))
    assert run.status == "rolled_back"
    assert found(desk, run) == []


def test_a_run_that_failed_and_could_not_undo_is_cut_off(desk: Desk) -> None:
    desk.allow("charge")
    run = desk.advance(desk.start([["charge", {"order": 1001, "act": "never undo"}]], GONE))
    assert run.status == "needs_person"
    assert found(desk, run) == [("missing_rollback", "cut_off")]
