"""From an approval to its effect: once, as approved, and not at all when anything changed."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from agentops.notify.models import FeedItem
from approvals import services
from approvals.models import Action, Approval, Policy
from approvals.tasks import look_for_missing_results
from tests.approvals.builders import approved, fresh, make_approver, make_policy, propose
from tests.builders import make_project

pytestmark = pytest.mark.django_db


def test_the_built_in_agent_executes_what_was_approved():
    approval = approved()
    granted = services.consume(approval.pk, definition_hash="")
    assert granted.arguments == {"order_id": 1001, "amount": "40.00 USD"}
    assert fresh(approval).action.status == "executing"
    assert services.consume(approval.pk, definition_hash="") == granted  # after a crash; its effect class decides
    services.report(approval.pk, outcome="succeeded", detail="refund r-1")
    with pytest.raises(services.NotApprovedError):
        services.consume(propose().pk, definition_hash="")


def test_arguments_changed_in_the_database_do_not_run_and_people_are_told():
    approval = approved()
    Action.objects.update(arguments='{"amount":"9000.00 USD","order_id":1001}')
    with pytest.raises(services.StaleError):
        services.consume(approval.pk, definition_hash="")
    assert services.supersede(approval.pk)
    assert fresh(approval).status == "superseded"
    told = FeedItem.objects.get(severity="critical")
    assert told.title == "An approved action was changed afterwards: issue_refund"


def test_another_policy_another_tool_or_too_late_does_not_run():
    project = make_project()
    make_approver(project)
    policy = make_policy(project)
    approvals = [approved_in(project) for _ in range(3)]
    with pytest.raises(services.StaleError, match="tool"):
        services.consume(approvals[0].pk, definition_hash="other")
    Approval.objects.filter(pk=approvals[1].pk).update(execute_by=Now())
    with pytest.raises(services.StaleError, match="in time"):
        services.consume(approvals[1].pk, definition_hash="")
    make_policy(project, decide_within_s=60)
    with pytest.raises(services.StaleError, match="policy"):
        services.consume(approvals[2].pk, definition_hash="")
    assert Policy.objects.get(pk=policy.pk).version == 2
    services.delete_policy(policy, by=approvals[2].decided_by)
    with pytest.raises(services.StaleError, match="policy"):
        services.claim(fresh(approvals[2]), key="k")


def approved_in(project):
    from agentops.accounts.models import Membership
    from tests.approvals.builders import decide

    return decide(propose(project), Membership.objects.get(project=project))


def test_a_claim_is_granted_once_and_again_only_to_its_own_key():
    approval = approved()
    granted = services.claim(approval, key="one")
    assert services.claim(approval, key="one") == granted
    with pytest.raises(services.ClaimedError):
        services.claim(approval, key="two")
    with pytest.raises(services.NotApprovedError):
        services.consume(approval.pk, definition_hash="")
    Action.objects.update(claimed_at=Now() - timedelta(minutes=11))
    with pytest.raises(services.ClaimedError):
        services.claim(approval, key="one")


def test_a_result_is_said_once_and_a_missing_one_is_unknown():
    approval = approved(agent="refund-bot")
    with pytest.raises(services.OutcomeError, match="not begun"):
        services.report(approval.pk, outcome="succeeded")
    services.claim(approval, key="one")
    look_for_missing_results()
    assert fresh(approval).action.status == "claimed"
    Action.objects.update(result_due_at=Now())
    look_for_missing_results()
    look_for_missing_results()
    assert fresh(approval).action.status == "unknown"
    assert FeedItem.objects.filter(title="Nobody knows what became of: issue_refund").count() == 1
    services.report(approval.pk, outcome="failed", detail="card closed")
    services.report(approval.pk, outcome="failed", detail="card closed")
    with pytest.raises(services.OutcomeError, match="reported as failed"):
        services.report(approval.pk, outcome="succeeded")


def test_the_database_refuses_to_run_what_ended():
    approval = approved()
    services.claim(approval, key="one")
    services.report(approval.pk, outcome="succeeded")
    with pytest.raises(IntegrityError, match="cannot go from succeeded to executing"), transaction.atomic():
        Action.objects.update(status="executing")
