"""A person decides: who may, what follows, and who wins when several are quick."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from agentops.accounts.models import Membership, Role
from agentops.audit.models import Entry
from agentops.notify.models import FeedItem
from approvals import services
from approvals.models import Action, Approval, CallbackJob, Policy, ResumeJob
from approvals.tasks import expire
from tests.approvals.builders import decide, fresh, make_approver, make_policy, propose
from tests.builders import make_membership, make_project
from traces.models import GateFact

pytestmark = pytest.mark.django_db


def approver_of(approval: Approval) -> Membership:
    return Membership.objects.get(project=approval.project, role=Role.APPROVER)


def test_an_approval_is_recorded_told_and_wakes_the_run():
    approval = propose(run_id=uuid4(), trace_id=uuid4())
    decide(approval, approver_of(approval), comment=" fine ")
    now = fresh(approval)
    assert (now.status, now.comment, now.action.status) == ("approved", "fine", "proposed")
    assert now.execute_by - now.decided_at == pytest.approx(timedelta(hours=1), abs=timedelta(seconds=5))
    assert list(ResumeJob.objects.values_list("approval", flat=True)) == [approval.pk]
    fact = GateFact.objects.get()
    assert (fact.decision, fact.trace_id, fact.digest) == ("approved", approval.action.trace_id, approval.digest)
    assert fact.decided_by == str(approver_of(approval).user)
    assert Entry.objects.get(action="approval.approved").detail["digest"] == approval.digest
    assert FeedItem.objects.filter(title="Approved: issue_refund").exists()


def test_a_rejection_keeps_its_reason():
    approval = propose()
    decide(approval, approver_of(approval), "reject", comment="ask for the return first")
    assert (fresh(approval).status, fresh(approval).comment) == ("rejected", "ask for the return first")
    assert not ResumeJob.objects.exists()


def test_an_answer_says_something():
    approval = propose(callback_url="https://agent.example.com/told")
    with pytest.raises(services.DecisionError):
        decide(approval, approver_of(approval), "answer", comment=" ")
    decide(approval, approver_of(approval), "answer", comment="use the voucher")
    assert fresh(approval).status == "answered"
    assert CallbackJob.objects.count() == 1


def test_what_was_decided_stays_decided_and_the_loser_hears_who_won():
    approval = propose()
    first, second = approver_of(approval), make_approver(approval.project)
    decide(approval, first)
    for _ in range(100):
        with pytest.raises(services.AlreadyDecidedError, match=f"{first.user} approved this at"):
            decide(approval, second, "reject")
    assert Entry.objects.filter(action__startswith="approval.").count() == 1


def test_the_digest_of_another_action_or_of_an_older_look_decides_nothing():
    approval = propose()
    other = propose(approval.project)
    with pytest.raises(services.StaleDigestError):
        decide(approval, approver_of(approval), digest=other.digest)
    assert fresh(approval).status == "pending"


def test_requester_and_policy_editor_are_refused_and_told_who_may():
    project = make_project()
    asking, editing, other = (make_approver(project) for _ in range(3))
    policy = make_policy(project)
    Policy.objects.filter(pk=policy.pk).update(edited_by=editing.user)
    approval = propose(project, requester=asking.user)
    for member, said in ((asking, "You asked for this"), (editing, "You changed the policy")):
        with pytest.raises(services.NotAllowedError, match=f"{said}.* {other.user} may decide"):
            decide(approval, member)
    Policy.objects.update(edited_at=Now() - timedelta(hours=25))
    decide(approval, editing)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.ADMIN])
def test_other_roles_are_refused(role):
    approval = propose()
    with pytest.raises(services.NotAllowedError, match="needs the role approver"):
        decide(approval, make_membership(approval.project, role))
    with pytest.raises(services.NotAllowedError):
        decide(approval, None)
    with pytest.raises(services.NotAllowedError):
        decide(approval, make_approver(make_project()))


def test_the_acting_person_confirms_where_the_policy_says_so():
    project = make_project()
    acting = make_membership(project, Role.OPERATOR)
    make_policy(project, mode="confirm")
    approval = propose(project, requester=acting.user)
    with pytest.raises(services.NotAllowedError):
        decide(approval, make_membership(project, Role.OPERATOR))
    decide(approval, acting, arguments={"order_id": 1001, "amount": "20.00 USD"})
    assert fresh(approval).status == "approved"
    assert fresh(approval).action.parsed_arguments["amount"] == "20.00 USD"


def test_with_four_eyes_an_edit_waits_for_somebody_else():
    project = make_project()
    editor, other = make_approver(project), make_approver(project)
    approval = propose(project)
    edited = decide(approval, editor, arguments={"order_id": 1001, "amount": "20.00 USD"})
    assert (edited.status, edited.digest != approval.digest) == ("pending", True)
    action = fresh(approval).action
    assert (action.parsed_proposal["amount"], action.parsed_arguments["amount"]) == ("40.00 USD", "20.00 USD")
    with pytest.raises(services.NotAllowedError, match="You edited the arguments"):
        decide(fresh(approval), editor)
    with pytest.raises(services.StaleDigestError):
        decide(approval, other)
    decide(fresh(approval), other)
    assert fresh(approval).status == "approved"


def test_an_edit_that_nobody_could_approve_or_that_the_tool_does_not_take_is_refused():
    approval = propose()
    with pytest.raises(services.NotAllowedError, match="nobody else"):
        decide(approval, approver_of(approval), arguments={"amount": 1})
    make_approver(approval.project)
    Action.objects.update(schema={"type": "object", "properties": {"amount": {"type": "string"}}})
    with pytest.raises(services.DecisionError, match="amount: 1 is not of type 'string'"):
        decide(approval, approver_of_first(approval), arguments={"amount": 1})


def approver_of_first(approval: Approval) -> Membership:
    return Membership.objects.filter(project=approval.project, role=Role.APPROVER).earliest("created_at")


def test_what_nobody_decides_expires_by_the_clock_of_the_database():
    approval = propose(run_id=uuid4(), expires_in_s=60)
    expire()
    assert fresh(approval).status == "pending"
    Approval.objects.update(expires_at=Now() - timedelta(minutes=1))
    with pytest.raises(services.AlreadyDecidedError, match="expired"):
        decide(approval, approver_of(approval))
    expire()
    assert (fresh(approval).status, fresh(approval).decided_by) == ("expired", None)
    assert ResumeJob.objects.count() == 1
    with pytest.raises(services.AlreadyDecidedError, match="expired at"):
        decide(approval, approver_of(approval))


def test_an_approval_that_nobody_uses_in_time_expires_too():
    approval = decide(given := propose(), approver_of(given))
    Approval.objects.update(execute_by=Now() - timedelta(minutes=1))
    expire()
    assert fresh(approval).status == "expired"


@pytest.mark.parametrize(("old", "new"), [("rejected", "approved"), ("expired", "pending"), ("approved", "rejected")])
def test_the_database_refuses_other_ways(old, new):
    approval = propose()
    times = {"decided_at": Now(), "execute_by": Now()}
    Approval.objects.filter(pk=approval.pk).update(status=old, **times)
    with pytest.raises(IntegrityError, match="cannot go from"), transaction.atomic():
        Approval.objects.filter(pk=approval.pk).update(status=new, **times)


def test_cancelling_ends_what_waits_and_not_what_runs():
    waiting, running = propose(), None
    assert services.cancel(fresh(waiting))
    running = decide(given := propose(run_id=uuid4()), approver_of(given))
    services.consume(running.pk, definition_hash="")
    assert services.cancel_of_run(running.action.run_id) == []
    assert (fresh(waiting).status, fresh(running).status) == ("cancelled", "approved")
