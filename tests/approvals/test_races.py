"""Twenty people on every approval at the same moment, and the clock among them: one decides, each other hears who."""

import os
import threading
from collections import Counter
from collections.abc import Callable
from itertools import cycle
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now

from agentops.accounts.models import Membership, Project
from agentops.audit.models import Entry
from agentops.notify.models import DeliverJob
from approvals import services
from approvals.decisions import end
from approvals.models import Approval, Status
from tests.approvals.builders import decide, fresh, make_approver, make_policy, propose
from tests.builders import make_project
from tests.locks import SOON_S, is_trail_free, start, wait_for_company
from tests.notify.builders import make_channel
from traces.models import GateFact

pytestmark = pytest.mark.django_db(transaction=True)

PEOPLE = 20
APPROVALS = int(os.environ.get("APPROVALS", "20"))  # `make crash` has 200
DECISIONS = ("approve", "reject")


@pytest.fixture
def project() -> Project:
    return make_project()


class Person(threading.Thread):
    """Somebody who decides on each approval as soon as all others are there too."""

    def __init__(self, barrier: threading.Barrier, moves: list[Callable[[], str]]) -> None:
        super().__init__()
        self.barrier, self.moves = barrier, moves
        self.outcomes: list[str] = []

    def run(self) -> None:
        try:
            for move in self.moves:
                self.barrier.wait(60)
                self.outcomes.append(move())
        finally:
            connection.close()


def deciding(approval: Approval, member: Membership, decision: str, **more: Any) -> Callable[[], str]:
    seen = fresh(approval)  # everybody has the page open
    given = services.Given(decision=decision, digest=approval.digest, **more)

    def decide() -> str:
        try:
            now = services.decide(seen, given, member=member)
        except services.StaleDigestError:
            return "stale"
        except services.AlreadyDecidedError as error:
            return str(error)
        return f"edited: {now.digest}" if now.status == Status.PENDING else f"won: {now.status}"

    return decide


def expiring(approval: Approval) -> Callable[[], str]:
    """What the clock does at the deadline; it comes in the midst of them all."""

    def expire() -> str:
        Approval.objects.filter(pk=approval.pk, status=Status.PENDING).update(expires_at=Now())
        return "won: expired" if end(fresh(approval), Status.EXPIRED) else "lost"

    return expire


def all_at_once(rounds: list[list[Callable[[], str]]]) -> list[list[str]]:
    """Make the moves of each round at one moment; return what came of them, round by round."""
    barrier = threading.Barrier(len(rounds[0]))
    people = [Person(barrier, list(moves)) for moves in zip(*rounds, strict=True)]
    for person in people:
        person.start()
    for person in people:
        person.join()
    return [list(outcomes) for outcomes in zip(*(person.outcomes for person in people), strict=True)]


def test_of_all_who_decide_at_once_one_does_and_the_others_are_told_who(project: Project) -> None:
    members = [make_approver(project) for _ in range(PEOPLE)]
    approvals = [propose(project) for _ in range(APPROVALS)]
    rounds: list[list[Callable[[], Any]]] = []
    for approval in approvals:
        moves = [deciding(approval, one, how) for one, how in zip(members, cycle(DECISIONS), strict=False)]
        rounds.append([*moves, expiring(approval)])
    wins: Counter[str] = Counter()
    for approval, outcomes in zip(approvals, all_at_once(rounds), strict=True):
        now = fresh(approval)
        won = [said for said in outcomes if said.startswith("won")]
        assert won == [f"won: {now.status}"], outcomes
        wins[now.status] += 1
        told = {said for said in outcomes if not said.startswith("won")} - {"lost"}
        who = f"{now.decided_by} {now.status} this at" if now.decided_by else "It expired"
        assert all(said.startswith(who) for said in told), (who, told)
    assert sum(wins.values()) == APPROVALS
    entries = Entry.objects.filter(action__startswith="approval.").values_list("target_id", flat=True)
    assert Counter(entries) == {str(approval.pk): 1 for approval in approvals}
    assert GateFact.objects.count() == APPROVALS


def test_an_edit_and_an_approval_at_once_never_approve_what_was_not_seen(project: Project) -> None:
    members = [make_approver(project) for _ in range(6)]
    approvals = [propose(project) for _ in range(APPROVALS)]
    other = {"order_id": 1001, "amount": "4000.00 USD"}
    changes = ({"arguments": other}, {})
    rounds = [
        [deciding(approval, one, "approve", **more) for more, one in zip(cycle(changes), members, strict=False)]
        for approval in approvals
    ]
    for approval, outcomes in zip(approvals, all_at_once(rounds), strict=True):
        now = fresh(approval)
        if now.status == Status.APPROVED:
            assert outcomes.count("won: approved") == 1
            assert (now.digest, now.action.parsed_arguments["amount"]) == (approval.digest, "40.00 USD")
        else:
            assert outcomes.count(f"edited: {now.digest}") == 1
            assert now.action.parsed_arguments == other
            assert "won: approved" not in outcomes


def test_an_edit_approved_at_once_leaves_the_audit_trail_to_others_until_everybody_is_told(project: Project) -> None:
    member, channel = make_approver(project), make_channel(project)
    make_policy(project, mode="confirm")
    approval = propose(project)
    with transaction.atomic():
        DeliverJob.objects.select_for_update().get(channel=channel)  # as whoever tells of something else
        deciding = start(lambda: decide(approval, member, arguments={"order_id": 1002}))
        wait_for_company()
        assert is_trail_free(project)  # which they write to next
    deciding.join(SOON_S)
    assert fresh(approval).status == "approved"
    actions = Entry.objects.of(project).filter(action__startswith="approval.").order_by("seq")
    assert list(actions.values_list("action", flat=True)) == ["approval.edited", "approval.approved"]
