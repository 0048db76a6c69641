"""Stopping a run by hand: who may, what they are told before, what the pages say after; and the settings."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from agentops.accounts.models import Membership, Role
from agentops.audit.models import Entry
from tests.alerts.builders import make_finding, make_trace, raise_one
from tests.approvals.builders import make_approver, propose
from tests.builders import make_membership, make_user, signed_in
from tests.runtime.running import Desk
from traces.containment.models import Stop, StopRule
from traces.containment.services import rules_of
from traces.models import Trace

pytestmark = pytest.mark.django_db


@pytest.fixture
def member() -> Membership:
    return make_membership(role=Role.OPERATOR, user=make_user(name="Ada"))


@pytest.fixture
def client(member: Membership) -> Client:
    return signed_in(member)


@pytest.fixture
def trace(member: Membership) -> Trace:
    return make_trace(member.project)


def page(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def test_who_stops_a_run_sees_first_what_waits_and_what_will_happen(client: Client, trace: Trace) -> None:
    make_approver(trace.project)
    propose(trace.project, trace_id=trace.trace_id)
    asked = page(client, f"/traces/{trace.id_hex}/stop")
    assert "issue_refund</" in asked
    assert "which waits for a person" in asked
    assert "This agent runs elsewhere" in asked
    assert not Stop.objects.exists()


def test_the_question_names_the_effects_of_a_built_in_run_that_will_be_undone(desk: Desk) -> None:
    desk.allow("charge")
    run = desk.advance(desk.start([["charge", {"order": 1}]], [["issue_refund", {"order": 1}]]))
    asked = page(signed_in(make_membership(desk.project, Role.OPERATOR)), f"/traces/{run.trace_id.hex}/stop")
    assert "is cancelled: the call under way is finished" in asked
    assert "charge</" in asked
    assert "will be undone" in asked


def test_a_stopped_run_says_since_when_by_whom_and_why_on_its_page_and_its_alert(
    client: Client, member: Membership, trace: Trace
) -> None:
    alert = raise_one(member.project, trace)
    for path in (f"/traces/{trace.id_hex}", f"/alerts/{alert.pk}"):
        assert f"/traces/{trace.id_hex}/stop" in page(client, path)
    answer = client.post(f"/traces/{trace.id_hex}/stop", {"reason": "Wrong customer."})
    assert answer.headers["Location"] == trace.get_absolute_url()
    shown = page(client, f"/traces/{trace.id_hex}")
    assert "Wrong customer (by Ada)" in shown
    assert "Stopped since" in shown
    assert "after onset" in shown
    of_alert = page(client, f"/alerts/{alert.pk}")
    assert "Wrong customer (by Ada)" in of_alert
    assert "After receipt" in of_alert
    for said in (shown, of_alert):
        assert f"/traces/{trace.id_hex}/stop" not in said
    entry = Entry.objects.get(action="run.stopped")
    assert (entry.actor_name, entry.detail["reason"]) == (member.user.email, "Wrong customer.")


def test_a_stop_by_hand_is_timed_from_the_failure_that_went_on_longest(client: Client, trace: Trace) -> None:
    first = make_finding(trace.project, trace)
    make_finding(trace.project, trace, onset_at=first.onset_at + timedelta(seconds=5))
    client.post(f"/traces/{trace.id_hex}/stop")
    stop = Stop.objects.get()
    assert (stop.finding_id, stop.onset_at) == (first.pk, first.onset_at)


def test_a_run_without_findings_is_stopped_and_has_no_time_to_contain(client: Client, trace: Trace) -> None:
    client.post(f"/traces/{trace.id_hex}/stop")
    stop = Stop.objects.get()
    assert (stop.pattern, stop.since_onset, stop.why) == ("", None, "by Ada")
    assert "Contained" not in page(client, f"/traces/{trace.id_hex}")


def test_a_second_stop_changes_nothing(client: Client, trace: Trace) -> None:
    client.post(f"/traces/{trace.id_hex}/stop", {"reason": "First."})
    before = Trace.objects.get().stopped_at
    answer = client.post(f"/traces/{trace.id_hex}/stop", {"reason": "Second."}, follow=True)
    assert "stopped before" in answer.content.decode()
    assert (Trace.objects.get().stopped_at, Stop.objects.get().reason) == (before, "First.")


def test_viewers_are_offered_no_stop_and_refused_one(member: Membership, trace: Trace) -> None:
    viewer = signed_in(make_membership(member.project, Role.VIEWER))
    alert = raise_one(member.project, trace)
    for path in (f"/traces/{trace.id_hex}", f"/alerts/{alert.pk}"):
        assert "/stop" not in page(viewer, path)
    assert viewer.post(f"/traces/{trace.id_hex}/stop").status_code == 403
    assert not Stop.objects.exists()


def test_a_reason_that_is_too_long_is_refused(client: Client, trace: Trace) -> None:
    assert client.post(f"/traces/{trace.id_hex}/stop", {"reason": "x" * 501}).status_code == 422
    assert not Stop.objects.exists()


def test_an_admin_sets_which_patterns_stop_a_run_and_the_audit_says_from_what_to_what(member: Membership) -> None:
    admin = signed_in(make_membership(member.project, Role.ADMIN))
    assert rules_of(member.project.pk) == {}
    assert "does not stop" in page(admin, "/settings/containment")
    admin.post("/settings/containment", {"tool_loop": "high"})
    admin.post("/settings/containment", {"tool_loop": "high"})  # no change
    assert rules_of(member.project.pk) == {"tool_loop": "high"}
    admin.post("/settings/containment", {"over_automation": "low", "tool_loop": ""})
    assert rules_of(member.project.pk) == {"over_automation": "low"}
    details = [entry.detail for entry in Entry.objects.filter(action="containment.changed").order_by("seq")]
    assert details == [
        {"before": ["nothing"], "after": ["tool_loop from high on"]},
        {"before": ["tool_loop from high on"], "after": ["over_automation from low on"]},
    ]


@pytest.mark.parametrize("given", [{"tool_loop": "sometimes"}])
def test_a_severity_that_does_not_exist_is_refused(member: Membership, given: dict[str, Any]) -> None:
    admin = signed_in(make_membership(member.project, Role.ADMIN))
    assert admin.post("/settings/containment", given).status_code == 422
    assert not StopRule.objects.exists()


def test_only_admins_set_what_stops_a_run(client: Client) -> None:
    assert client.post("/settings/containment", {"tool_loop": "high"}).status_code == 403
    assert not StopRule.objects.exists()
