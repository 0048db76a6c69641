"""Deliveries of a whole running installation: real worker, sweeper, broker and Postgres, killed at bad moments."""

import os
import random
import re
import signal
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest
from standardwebhooks.webhooks import Webhook as Reference

from tests.instance import Instance
from tests.prepared import prepared_instance
from tests.receivers import OK, Receiver

pytestmark = pytest.mark.crash

PENDING = "SELECT 1 FROM notify_delivery d JOIN notify_channel c ON c.id = channel_id WHERE state = 'pending'"


class Desk:
    """Receivers that misbehave as each test tells them to, and the installation that may call them."""

    def __init__(self, instance: Instance, receivers: list[Receiver]) -> None:
        self.instance, self.receivers = instance, receivers

    def client(self, count: int, pause_s: float, *receivers: Receiver) -> "subprocess.Popen[str]":
        self.instance.query("UPDATE notify_channel SET deleted_at = now()")
        words = (str(count), str(pause_s), *(receiver.url for receiver in receivers))
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        return self.instance.run_module("tests.notify.telling", *words, **pipes)

    def all_delivered(self, receiver: Receiver) -> bool:
        return not self.instance.query(f"{PENDING} AND c.config->>'url' = %s", [receiver.url])


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    with ExitStack() as open_:
        receivers = [open_.enter_context(Receiver()) for _ in range(4)]
        allowed = ",".join(f"127.0.0.1/32:{receiver.port}" for receiver in receivers)
        yield Desk(open_.enter_context(prepared_instance(AGENTOPS_OUTBOUND_ALLOW=allowed)), receivers)


def told(client: "subprocess.Popen[str]") -> list[str]:
    said, _ = client.communicate("go\n", timeout=120)
    return re.findall(r"^told (\S+)$", said, re.MULTILINE)


def test_a_process_killed_between_sending_and_writing_it_down_sends_once_more_with_the_same_id(desk):
    receiver = desk.receivers[0]

    def kill_once(line, request):
        if len(receiver.requests) == 1:
            senders = desk.instance.children("worker")  # they end with their parent, but not at once
            for part in ("worker", "sweeper"):  # whichever of them it is that sends
                desk.instance.kill(part)
            for sender in senders:
                with suppress(ProcessLookupError):
                    os.kill(sender, signal.SIGKILL)
        line.sendall(OK)

    receiver.behave = kill_once
    client = desk.client(1, 0, receiver)
    secret = client.stdout.readline().split()[1]
    assert len(told(client)) == 1
    desk.instance.wait_until(lambda: desk.all_delivered(receiver), 30)
    assert len(receiver.requests) == 2
    for request in receiver.requests:
        assert Reference(secret).verify(request.body, dict(request.headers))
    first, second = receiver.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    desk.instance.wait_until_whole()


def test_a_receiver_that_does_not_answer_delays_no_other(desk):
    slow, fast = desk.receivers[1:3]
    answer = threading.Event()
    slow.behave = lambda line, request: answer.wait(60)
    client = desk.client(30, 0.05, slow, fast)
    assert len(told(client)) == 30
    desk.instance.wait_until(lambda: desk.all_delivered(fast) and slow.requests, 30)
    # All of them are there while the sender still waits for the first answer of the other.
    assert len(slow.requests) == 1
    answer.set()


def test_what_was_told_is_delivered_whatever_is_killed_and_repeated_only_with_the_same_id(desk):
    receiver = desk.receivers[3]
    client = desk.client(120, 0.05, receiver)
    assert client.stdout.readline().startswith("channel")
    client.stdin.write("go\n")
    client.stdin.flush()
    rng = random.Random(53)
    for part in rng.sample(["worker", "sweeper", "broker", "postgres", "worker"], k=5):
        time.sleep(rng.uniform(0.5, 1.5))
        desk.instance.kill(part)
    keys = told(client)
    assert len(keys) > 50
    desk.instance.wait_until_whole()
    desk.instance.wait_until(lambda: desk.all_delivered(receiver), 60)
    rows = desk.instance.query(
        "SELECT key, 'msg_' || replace(d.id::text, '-', '') FROM notify_delivery d JOIN"
        " notify_channel c ON c.id = channel_id WHERE c.config->>'url' = %s",
        [receiver.url],
    )
    bodies: dict[str, set[bytes]] = defaultdict(set)
    for request in receiver.requests:
        bodies[request.headers["webhook-id"]].add(request.body)
    arrived = {key for key, wire_id in rows if wire_id in bodies}
    assert set(keys) <= arrived
    assert set(bodies) <= {wire_id for _, wire_id in rows}
    assert {len(versions) for versions in bodies.values()} == {1}
    # Each kill can repeat what was under way then.
    assert len(receiver.requests) - len(bodies) <= 5
