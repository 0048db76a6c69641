"""Claiming and reporting over the API: once, by exactly what was approved, and known to everybody afterwards."""

import threading
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from agentops.notify.models import FeedItem
from approvals import executions
from approvals.models import Action, Approval
from approvals.policies import delete_policy
from tests.approvals.agent import PROPOSAL, Agent
from tests.approvals.builders import fresh, make_policy, propose
from tests.builders import make_membership, make_project

pytestmark = pytest.mark.django_db


@pytest.fixture
def agent() -> Agent:
    """An agent whose every action is approved by policy."""
    agent = Agent(make_project())
    make_policy(agent.project, "*", "low")
    return agent


def test_a_claim_is_answered_with_what_was_approved_and_again_under_its_key(agent: Agent) -> None:
    asked = agent.ask().json()
    first, again = agent.claim(asked["id"]), agent.claim(asked["id"])
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json() == {"arguments": PROPOSAL["arguments"], "digest": asked["digest"]}
    assert agent.get(f"/{asked['id']}").json()["action_status"] == "claimed"


def test_a_claim_without_a_key_or_with_one_that_is_none_takes_nothing(agent: Agent) -> None:
    asked = agent.ask().json()
    assert agent.claim(asked["id"], key="").status_code == 400
    assert agent.claim(asked["id"], key="k 1").status_code == 400
    assert agent.claim(asked["id"], key="k" * 256).status_code == 400
    assert agent.get(f"/{asked['id']}").json()["action_status"] == "proposed"


def test_another_key_is_told_when_it_was_claimed(agent: Agent) -> None:
    asked = agent.ask().json()
    agent.claim(asked["id"])
    refused = agent.claim(asked["id"], key="k-2")
    assert (refused.status_code, refused["Content-Type"]) == (409, "application/problem+json")
    assert refused.json()["claimed_at"] == agent.get(f"/{asked['id']}").json()["claimed_at"]


def test_two_agents_who_choose_the_same_key_are_two(agent: Agent) -> None:
    asked, other = agent.ask().json(), Agent(agent.project)
    assert agent.claim(asked["id"], key="1").status_code == 200
    refused = other.claim(asked["id"], key="1")
    assert (refused.status_code, "claimed_at" in refused.json()) == (409, True)


def test_after_ten_minutes_the_same_key_is_another(agent: Agent) -> None:
    asked = agent.ask().json()
    agent.claim(asked["id"])
    earlier = Action.objects.get().claimed_at - executions.CLAIM_WINDOW
    Action.objects.update(claimed_at=earlier)
    refused = agent.claim(asked["id"])
    assert (refused.status_code, "claimed_at" in refused.json()) == (409, True)


def test_what_is_not_approved_cannot_be_claimed() -> None:
    agent = Agent()
    asked = agent.ask().json()
    refused = agent.claim(asked["id"])
    assert (refused.status_code, refused.json()["approval_status"]) == (409, "pending")
    assert "claimed_at" not in refused.json()
    agent.post(f"/{asked['id']}/cancel")
    assert agent.claim(asked["id"]).json()["approval_status"] == "cancelled"


def test_what_was_approved_and_not_used_in_time_cannot_be_claimed(agent: Agent) -> None:
    asked = agent.ask().json()
    approval = Approval.objects.get()
    Approval.objects.update(execute_by=approval.created_at)
    assert agent.claim(asked["id"]).status_code == 409
    assert agent.get(f"/{asked['id']}").json()["status"] == "superseded"


def test_a_policy_that_was_changed_or_deleted_since_makes_the_approval_stale(agent: Agent) -> None:
    changed, deleted = agent.ask().json()["id"], agent.ask(tool_name="other").json()["id"]
    admin = make_membership(agent.project).user
    policy = make_policy(agent.project, "*", "low", execute_within_s=60)
    refused = agent.claim(changed)
    assert (refused.status_code, refused.json()["approval_status"]) == (409, "superseded")
    delete_policy(policy, by=admin)
    assert agent.claim(deleted).status_code == 409
    assert set(Action.objects.values_list("status", flat=True)) == {"proposed"}


def test_arguments_that_were_changed_in_the_database_are_not_handed_out_and_people_are_told(agent: Agent) -> None:
    asked = agent.ask().json()
    Action.objects.update(arguments='{"amount":"4000.00 USD","order_id":1001}')
    assert agent.claim(asked["id"]).status_code == 409
    assert FeedItem.objects.filter(kind="approval.tampered", severity="critical").exists()
    assert agent.claim(asked["id"]).status_code == 409


def test_a_result_is_reported_once_and_may_be_said_again(agent: Agent) -> None:
    asked = agent.ask().json()
    early = agent.report(asked["id"])
    assert (early.status_code, early.json()["detail"]) == (409, "This action has not begun.")
    agent.claim(asked["id"])
    for _ in range(2):
        answer = agent.report(asked["id"], detail="re_1")
        assert answer.status_code == 200
        assert (answer.json()["action_status"], answer.json()["detail"]) == ("succeeded", "re_1")
    refused = agent.report(asked["id"], "failed")
    assert (refused.status_code, refused.json()["detail"]) == (409, "This action was reported as succeeded.")
    assert agent.post(f"/{asked['id']}/cancel").status_code == 409


@pytest.mark.parametrize(
    "body", [{}, {"outcome": "unknown"}, {"outcome": "succeeded", "detail": "x" * 2_001}, [], b"{"]
)
def test_a_result_that_is_none_is_refused(agent: Agent, body: Any) -> None:
    asked = agent.ask().json()
    agent.claim(asked["id"])
    assert agent.post(f"/{asked['id']}/result", body).status_code == 400
    assert fresh(Approval.objects.get()).action.status == "claimed"


def test_an_agent_that_comes_back_late_may_still_say_what_became_of_it(agent: Agent) -> None:
    asked = agent.ask().json()
    agent.claim(asked["id"])
    Action.objects.update(result_due_at=Approval.objects.get().created_at)
    executions.note_missing_results()
    assert agent.get(f"/{asked['id']}").json()["action_status"] == "unknown"
    assert agent.report(asked["id"], "failed", detail="It was refused.").json()["action_status"] == "failed"


def test_what_a_run_of_the_built_in_agent_waits_for_is_executed_by_nobody_else(agent: Agent) -> None:
    approval = propose(agent.project, run_id=uuid4())
    assert agent.claim(approval.pk).status_code == 409
    executions.consume(approval.pk, definition_hash="")
    assert agent.report(approval.pk).status_code == 409
    assert fresh(approval).action.status == "executing"


@pytest.mark.django_db(transaction=True)
def test_of_many_who_claim_at_once_one_gets_it(agent: Agent) -> None:
    approval_id = agent.ask().json()["id"]
    barrier = threading.Barrier(8)
    statuses: list[int] = []

    def claim(number: int) -> None:
        barrier.wait()
        try:
            statuses.append(agent.claim(approval_id, key=f"k-{number}").status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=claim, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] + [409] * 7
