"""Which process takes the next connection, and which connections it gives up."""

from typing import Any

import pytest

from agentops.web import senders as module
from agentops.web.senders import KEPT_S, NEW_FOR_S, PAUSE_MAX_S, PAUSE_S, SENDS_FOR_S, Senders

A, B, C = (("127.0.0.1", port) for port in (5001, 5002, 5003))


def shared() -> Senders:
    senders = Senders()
    senders.are_shared = True
    return senders


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "monotonic", clock)
    return clock


def test_who_has_more_senders_leaves_a_new_connection_longer_to_others(clock: Any) -> None:
    senders = shared()
    assert senders.pause_s([A, B]) == 0
    senders.keep(A)
    senders.came(B)
    assert senders.pause_s([A, B]) == 2 * PAUSE_S
    clock.now += 2 * NEW_FOR_S
    assert senders.pause_s([A, B]) == PAUSE_S, "a new connection that brought no batch counts for a moment"
    clock.now += SENDS_FOR_S
    assert senders.pause_s([A, B]) == 0
    many = [("::1", port) for port in range(50)]
    for client in many:
        senders.keep(client)
    assert senders.pause_s(many) == PAUSE_MAX_S


def test_a_connection_that_is_closed_counts_no_more(clock: Clock) -> None:
    senders = shared()
    senders.keep(A)
    assert senders.pause_s([B]) == 0


def test_a_connection_is_given_up_after_a_while_unless_it_is_the_only_one(clock: Clock) -> None:
    senders = shared()
    assert senders.keep(A)
    clock.now += KEPT_S
    assert senders.keep(A)
    assert senders.keep(B)
    assert not senders.keep(A)
    senders.pause_s([B])
    senders.came(A)
    assert senders.keep(A), "the same address anew is another connection"


def test_who_sends_no_more_is_forgotten_without_being_asked_for(clock: Clock) -> None:
    senders = shared()
    for port in range(100):
        clock.now += 1
        senders.keep(("127.0.0.1", port))
    assert len(senders._until) < 10
    assert senders.keep(None)


def test_a_connection_whose_neighbours_have_gone_is_kept(clock: Clock) -> None:
    senders = shared()
    senders.keep(A)
    senders.keep(B)
    clock.now += KEPT_S
    assert senders.keep(A), "B sends no more"


def test_what_a_proxy_says_of_its_clients_counts_for_nothing(clock: Clock) -> None:
    senders = shared()
    for _ in range(2):
        clock.now += KEPT_S
        assert senders.keep(("203.0.113.7", 0))
        assert senders.keep(("203.0.113.8", 0))
    assert senders.pause_s([A]) == 0


def test_a_process_that_serves_alone_waits_for_nobody_and_gives_nothing_up(clock: Clock) -> None:
    senders = Senders()
    for client in (A, B):
        senders.came(client)
        senders.keep(client)
    assert senders.pause_s([A, B]) == 0
    clock.now += KEPT_S
    assert senders.keep(B)
    assert senders.keep(A)
