"""An agent asks: which policy catches its action, what it is denied at once, and what people are told."""

from uuid import uuid4

import pytest

from agentops.accounts.models import Role
from agentops.notify.models import FeedItem
from approvals import services
from approvals.models import Action, Approval
from approvals.policies import match
from tests.approvals.builders import fresh, make_approver, make_policy, propose
from tests.builders import make_membership, make_project
from traces.models import GateFact, Trace

pytestmark = pytest.mark.django_db


def test_a_tool_without_a_policy_is_high_and_waits_for_a_person():
    approval = propose(tool_name="launch_rocket")
    assert (approval.status, approval.tier, approval.mode, approval.policy) == ("pending", "high", "four_eyes", None)
    assert (approval.expires_at - approval.created_at).total_seconds() == pytest.approx(3_600, abs=5)


def test_low_and_medium_run_at_once_and_leave_a_gate_fact():
    project = make_project()
    make_policy(project, "get_*", "low")
    make_policy(project, "update_order", "medium")
    low = propose(project, tool_name="get_order", trace_id=uuid4())
    medium = propose(project, tool_name="update_order", trace_id=uuid4())
    assert (low.status, low.action.status, low.tier) == ("approved", "proposed", "low")
    assert medium.status == "approved"
    assert low.execute_by is not None
    assert set(GateFact.objects.values_list("trace_id", "decision", "decided_by")) == {
        (low.action.trace_id, "approved", ""),
        (medium.action.trace_id, "approved", ""),
    }
    assert not FeedItem.objects.exists()


def test_the_most_exact_pattern_counts_and_of_equals_the_stricter():
    project = make_project()
    for pattern, tier in (("*", "low"), ("issue_*", "medium"), ("*_refund", "high"), ("issue_refund", "low")):
        make_policy(project, pattern, tier)
    found = {name: match(project.pk, name).tool_pattern for name in ("issue_refund", "issue_note", "get", "a_refund")}
    assert found == {"issue_refund": "issue_refund", "issue_note": "issue_*", "get": "*", "a_refund": "*_refund"}
    make_policy(project, "x_a*", "low")
    make_policy(project, "x_*a", "high")
    assert match(project.pk, "x_aa").tier == "high"


def test_a_name_that_only_looks_alike_is_another_tool():
    project = make_project()
    make_approver(project)
    make_policy(project, "delete_file", "low")
    assert propose(project, tool_name="d\u0435lete_file").status == "pending"
    assert propose(project, tool_name="Delete_file").status == "pending"


def test_a_policy_that_denies_and_a_project_without_approver_deny_at_once():
    project = make_project()
    make_policy(project, "drop_*", "high", mode="deny")
    assert propose(project, tool_name="drop_table").status == "denied"
    alone = propose(project, tool_name="other")
    assert (alone.status, alone.comment) == ("denied", "nobody in this project may approve it")
    make_approver(project)
    assert propose(project, tool_name="other").status == "pending"
    assert propose(project, tool_name="drop_table").status == "denied"


def test_the_only_approver_cannot_ask_for_themselves():
    project = make_project()
    only = make_approver(project)
    assert propose(project, requester=only.user).status == "denied"


def test_an_agent_whose_trace_was_stopped_is_denied():
    project = make_project()
    make_policy(project, "*", "low")
    trace_id = uuid4()
    Trace.objects.create(project=project, trace_id=trace_id, trace_day="2026-01-01", stopped_at="2026-01-01T00:00Z")
    denied = propose(project, tool_name="get_order", trace_id=trace_id)
    assert (denied.status, denied.comment.partition(":")[0]) == ("denied", "stopped")


def test_what_waits_is_told_with_a_link_that_opens_the_page():
    approval = propose(agent="refund-bot", reason="the customer is sad")
    item = FeedItem.objects.get()
    assert item.title == "refund-bot waits for a decision: issue_refund"
    assert item.url == approval.get_absolute_url()
    assert "sad" not in item.title + item.body  # a claim of the agent is no news


def test_asking_twice_under_one_call_id_is_asking_once():
    approval = propose(call_id="run-1-1")
    again = propose(approval.project, call_id="run-1-1", arguments={"other": 1})
    assert again.pk == approval.pk
    assert Action.objects.count() == FeedItem.objects.count() == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"n": 2**53}, "send them as text"),
        ({"n": 1e16}, "send them as text"),
        ({"n": float("nan")}, "finite"),
        ({"n": "\ud800"}, "well-formed"),
        ({"note": "\n" * 5_000 + "delete everything"}, "200 lines"),
        ({"note": "x" * 40_000}, "32 kB"),
        ({"notes": ["x"] * 300}, "200 lines"),
    ],
)
def test_what_nobody_can_read_is_refused_when_it_is_asked_for(arguments, said):
    with pytest.raises(services.ProposalError, match=said) as refused:
        propose(arguments=arguments)
    assert refused.value.pointer == "/arguments"
    assert not Approval.objects.exists()


def test_equal_actions_have_digests_of_their_own_and_key_order_does_not_matter():
    project = make_project()
    make_approver(project)
    one = propose(project, arguments={"a": 1, "b": 1.0})
    other = propose(project, arguments={"b": 1, "a": 1})
    assert one.action.arguments == other.action.arguments == '{"a":1,"b":1}'
    assert one.digest != other.digest


def test_the_digest_stands_after_a_round_through_the_database():
    from approvals.digest import digest_of

    approval = propose(trace_id=uuid4(), run_id=uuid4(), arguments={"z": "\u0000é\U0001f600", "n": 1e22})
    assert digest_of(fresh(approval).action, fresh(approval)) == approval.digest


def test_an_operator_is_no_approver():
    project = make_project()
    make_membership(project, Role.OPERATOR)
    make_membership(project, Role.ADMIN)
    assert propose(project).status == "denied"


def test_an_agent_may_wait_for_less_than_the_policy_says_and_not_for_more():
    project = make_project()
    make_approver(project)
    make_policy(project, decide_within_s=600)
    waits = [propose(project, expires_in_s=asked) for asked in (60, 6_000, None)]
    seconds = [(one.expires_at - one.created_at).total_seconds() for one in waits]
    assert seconds == pytest.approx([60, 600, 600], abs=5)
