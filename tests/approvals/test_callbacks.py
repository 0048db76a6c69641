"""The callback as its receiver sees it: signed, said again until it is taken, and set aside when it never is."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from standardwebhooks.webhooks import Webhook as Reference

from agentops.accounts.models import AnsweredCall, Role
from agentops.jobs.runner import run_by_id
from approvals import services
from approvals.models import Approval, CallbackJob, Status
from tests.approvals.agent import Agent
from tests.approvals.builders import decide, fresh
from tests.builders import make_membership
from tests.receivers import Receiver, answer, receiving

pytestmark = pytest.mark.django_db(transaction=True)
Allow = Callable[..., None]


def asked(agent: Agent, url: str, key: str = "") -> tuple[Approval, str]:
    """Ask with a callback, and return the approval and the secret."""
    said = agent.ask(key, callback_url=url)
    assert said.status_code == 201, said.content
    return Approval.objects.whole().get(pk=said.json()["id"]), said.json()["callback_secret"]


def approve(approval: Approval) -> None:
    decide(approval, make_membership(approval.project, Role.APPROVER), comment="Once.")


def call() -> bool:
    """Run the one callback that there is, whenever it is due."""
    CallbackJob.objects.update(due_at=Now())
    return run_by_id(CallbackJob.kind, CallbackJob.objects.get().pk)


def verified(receiver: Receiver, secret: str, number: int = -1) -> dict[str, Any]:
    request = receiver.requests[number]
    body: dict[str, Any] = Reference(secret).verify(request.body, dict(request.headers))
    return body


def test_the_agent_is_called_with_its_decided_approval_signed(allow: Allow) -> None:
    agent = Agent(None, "gate", "read")
    with receiving() as receiver:
        allow(receiver)
        approval, secret = asked(agent, receiver.url)
        assert not CallbackJob.objects.exists()
        approve(approval)
        assert call()
        said = verified(receiver, secret)
    assert said["type"] == "approval.decided"
    assert said["data"] == json.loads(agent.get(f"/{approval.pk}").content)
    assert (said["data"]["status"], said["data"]["comment"]) == ("approved", "Once.")
    assert receiver.requests[0].headers["content-type"] == "application/json"
    assert not CallbackJob.objects.exists()


def test_the_secret_is_said_again_under_the_same_key_and_stored_nowhere(allow: Allow) -> None:
    agent = Agent()
    with receiving() as receiver:
        allow(receiver)
        first, again = (agent.ask("k-1", callback_url=receiver.url) for _ in range(2))
        other = agent.ask("k-2", callback_url=receiver.url)
    assert first.json() == again.json()
    assert (first.has_header("Idempotency-Replayed"), again["Idempotency-Replayed"]) == (False, "true")
    secret = first.json()["callback_secret"]
    assert secret.startswith("whsec_")
    assert secret != other.json()["callback_secret"]
    assert not [call for call in AnsweredCall.objects.all() if b"whsec_" in bytes(call.body)]


def test_a_callback_that_is_not_taken_comes_again_under_its_id_and_is_set_aside_at_last(allow: Allow) -> None:
    with receiving(answer(500)) as receiver:
        allow(receiver)
        approval, secret = asked(Agent(), receiver.url)
        approve(approval)
        for _ in range(CallbackJob.max_attempts):
            assert call()
        assert not call()
        ids = {verified(receiver, secret, number) and request.headers["webhook-id"]
               for number, request in enumerate(receiver.requests)}  # fmt: skip
    assert (len(receiver.requests), len(ids)) == (CallbackJob.max_attempts, 1)
    job = CallbackJob.objects.get()
    assert job.quarantined_at is not None
    assert "The receiver answered 500." in job.last_error
    assert fresh(approval).status == "approved"


def test_a_receiver_that_is_away_at_first_is_called_later(allow: Allow) -> None:
    with receiving() as receiver:
        allow(receiver)
        approval, _ = asked(Agent(), receiver.url)
        approve(approval)
    call()
    job = CallbackJob.objects.get()
    assert (job.attempts, job.quarantined_at) == (1, None)
    assert str(receiver.port) not in job.last_error


@pytest.mark.parametrize("status", [Status.EXPIRED, Status.CANCELLED])
def test_what_ends_without_a_person_is_told_too(allow: Allow, status: Status) -> None:
    with receiving() as receiver:
        allow(receiver)
        approval, secret = asked(Agent(), receiver.url)
        if status == Status.EXPIRED:
            Approval.objects.update(expires_at=Now() - timedelta(minutes=1))
        assert services.end(approval, status)
        call()
        assert verified(receiver, secret)["data"]["status"] == status


def test_an_approval_that_ends_twice_is_told_twice_under_two_ids(allow: Allow) -> None:
    with receiving() as receiver:
        allow(receiver)
        approval, _ = asked(Agent(), receiver.url)
        approve(approval)
        call()
        services.cancel(fresh(approval))
        call()
        first, second = receiver.requests
    assert first.headers["webhook-id"] != second.headers["webhook-id"]


def test_who_names_no_address_is_not_called() -> None:
    approval = Approval.objects.whole().get(pk=Agent().ask().json()["id"])
    approve(approval)
    assert not CallbackJob.objects.exists()


def test_an_address_that_leads_inside_by_its_name_is_not_called(settings: Any) -> None:
    settings.OUTBOUND_ALLOW = ()
    approval, _ = asked(Agent(), "https://hooks.example.com/")
    Approval.objects.update(callback_url="https://localhost/")
    approve(fresh(approval))
    call()
    assert "OutboundError" in CallbackJob.objects.get().last_error
