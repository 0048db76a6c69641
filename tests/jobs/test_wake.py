"""Waking workers through a real broker that is well, hung, gone or full."""

import os
import signal
import time
from collections.abc import Callable
from uuid import uuid4

import pytest

from agentops.jobs import wake as waking
from agentops.jobs.wake import IDS_PER_MESSAGE, ring, wake
from tests.jobs.conftest import within
from tests.probe.models import ProbeJob

pytestmark = pytest.mark.usefixtures("publisher")


def taken(broker, count: int) -> list[tuple[str, list[str]]]:
    messages: list[tuple[str, list[str]]] = []

    def take() -> bool:
        messages.extend(broker.take(ProbeJob.queue))
        return len(messages) >= count

    assert within(5, take), messages
    return messages


def seconds(act: Callable[[], object]) -> float:
    started = time.monotonic()
    act()
    return time.monotonic() - started


def test_a_wake_names_its_jobs_in_messages_of_a_few(broker):
    ids = [uuid4() for _ in range(2 * IDS_PER_MESSAGE + 1)]
    wake("probe", ids)
    messages = taken(broker, 3)
    assert {kind for kind, _ in messages} == {"probe"}
    assert [job_id for _, some in messages for job_id in some] == [str(job_id) for job_id in ids]


def test_a_ring_names_nobody(broker):
    ring("probe", times=2)
    assert taken(broker, 2) == [("probe", []), ("probe", [])]


def test_a_kind_that_nobody_handles_wakes_nobody(broker):
    wake("no such kind", [uuid4()])
    wake("probe", [])
    wake("probe", [uuid4()])
    assert len(taken(broker, 1)) == 1


def test_a_hung_broker_costs_the_caller_nothing_and_is_left_alone_for_a_while(broker, publisher):
    broker.process.send_signal(signal.SIGSTOP)
    assert seconds(lambda: wake("probe", [uuid4() for _ in range(10_000)])) < 2
    assert within(5, lambda: publisher.is_pausing)
    assert seconds(lambda: wake("probe", [uuid4()])) < 1
    broker.process.send_signal(signal.SIGCONT)
    assert within(5, lambda: not publisher.is_pausing)
    broker.take(ProbeJob.queue)
    wanted = uuid4()
    wake("probe", [wanted])
    assert ("probe", [str(wanted)]) in taken(broker, 1)


def test_a_broker_that_is_gone_costs_the_caller_nothing_and_is_found_again(broker, publisher):
    broker.end()
    assert seconds(lambda: wake("probe", [uuid4()])) < 2
    assert within(5, lambda: publisher.is_pausing)
    broker.start()
    assert within(5, lambda: not publisher.is_pausing)
    wake("probe", [uuid4()])
    taken(broker, 1)


def test_a_broker_that_restarts_between_two_wakes_loses_at_most_one_message(broker, publisher):
    wake("probe", [uuid4()])
    taken(broker, 1)
    broker.end()
    broker.start()
    wake("probe", [uuid4()])
    assert within(5, lambda: publisher.is_pausing or broker.take(ProbeJob.queue))
    assert within(5, lambda: not publisher.is_pausing)
    wake("probe", [uuid4()])
    taken(broker, 1)


def test_what_a_slow_broker_does_not_take_is_dropped_not_hoarded(broker, publisher):
    broker.process.send_signal(signal.SIGSTOP)
    wake("probe", [uuid4() for _ in range(waking.MAX_WAITING * waking.IDS_PER_MESSAGE * 2)])
    assert publisher.waiting <= waking.MAX_WAITING


def test_a_forked_process_publishes_on_a_connection_of_its_own(broker):
    wake("probe", [uuid4()])
    taken(broker, 1)
    if not (child := os.fork()):
        waking.publisher.forget()  # the product registers this for its own publisher
        wake("probe", [uuid4()])
        time.sleep(1)
        os._exit(0)
    taken(broker, 1)
    os.waitpid(child, 0)
