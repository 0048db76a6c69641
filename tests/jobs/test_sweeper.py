"""The sweeper's clock and claimers in threads of this process, on a real Postgres."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection

from agentops.jobs import clock, registry, sweeper, tasks
from agentops.jobs.models import Process
from tests.jobs.conftest import within
from tests.probe.models import ProbeJob, ProbeRun, SlowProbeJob

pytestmark = pytest.mark.django_db(transaction=True, available_apps=["agentops.jobs", "tests.probe"])


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """The clock of these tests has two chores: one that counts its calls by thread, and one that fails."""
    counted: Counter[str] = Counter()

    def count() -> None:
        counted[threading.current_thread().name] += 1

    def fail() -> None:
        raise RuntimeError("told to")

    chores = {"fail": registry.Chore(fail, 0.1), "count": registry.Chore(count, 0.1)}
    monkeypatch.setattr(clock, "chores", chores)
    monkeypatch.setattr(clock, "TICK_S", 0.1)
    return counted


@contextmanager
def ticking(name: str, on_notice: threading.Event | None = None) -> Iterator[threading.Event]:
    stopped = threading.Event()
    ticker = clock.Clock(stopped, on_notice=(on_notice or threading.Event()).set)
    ticker.name = name
    ticker.start()
    yield stopped
    stopped.set()
    ticker.join(5)
    assert not ticker.is_alive()


@contextmanager
def sweeping() -> Iterator[sweeper.Sweeper]:
    process = sweeper.Sweeper()
    thread = threading.Thread(target=_run_and_close, args=[process])
    thread.start()
    yield process
    process.stop()
    thread.join(5)
    assert not thread.is_alive()


def _run_and_close(process: sweeper.Sweeper) -> None:
    process.run()
    connection.close()


def lock_holders() -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            [clock.LOCK],
        )
        return [pid for (pid,) in cursor.fetchall()]


def cut(pid: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [pid])


def test_one_of_two_clocks_leads_and_a_chore_that_fails_spares_the_others(calls):
    with ticking("one"), ticking("other"):
        assert within(5, lambda: calls.total() >= 5)
        assert len(calls) == 1


def test_when_the_leader_stops_the_other_goes_on_within_three_seconds(calls):
    with ticking("other") as other_stopped:
        assert within(5, lambda: calls["other"])
        with ticking("one"):
            other_stopped.set()
            assert within(3, lambda: calls["one"])


def test_a_clock_that_loses_its_connection_leads_again(calls):
    with ticking("one"):
        assert within(5, lock_holders)
        cut(lock_holders()[0])
        calls.clear()
        assert within(3, lambda: calls["one"] and lock_holders())


def test_a_chore_is_called_about_as_often_as_it_asked(monkeypatch, calls):
    monkeypatch.setattr(clock, "chores", {"count": registry.Chore(lambda: calls.update(["it"]), 0.5)})
    with ticking("one"):
        time.sleep(1.3)
    assert 2 <= calls["it"] <= 4


def test_a_rare_chore_that_fails_is_tried_again_soon(monkeypatch, calls):
    def fail_once() -> None:
        calls["it"] += 1
        if calls["it"] == 1:
            raise RuntimeError("told to")

    monkeypatch.setattr(clock, "RETRY_S", 0.2)
    monkeypatch.setattr(clock, "chores", {"rare": registry.Chore(fail_once, 3600)})
    with ticking("one"):
        assert within(5, lambda: calls["it"] >= 2)
        time.sleep(0.5)
    assert calls["it"] == 2


def test_a_notice_reaches_the_clock(calls):
    told = threading.Event()
    with ticking("one", told):
        assert within(5, lambda: calls["one"])
        with connection.cursor() as cursor:
            cursor.execute(f"NOTIFY {clock.CHANNEL}")
        assert told.wait(3)


def test_without_a_broker_jobs_run_within_five_seconds():
    with sweeping():
        ProbeJob.objects.touch([ProbeJob(name="one")])
        SlowProbeJob.objects.touch([SlowProbeJob(name="two")])
        assert within(5, lambda: ProbeRun.objects.count() == 2)
    assert not ProbeJob.objects.exists()


def test_slow_jobs_do_not_hold_up_quick_ones(monkeypatch):
    released = threading.Event()
    monkeypatch.setitem(registry.handlers, "slow_probe", registry.Handler(lambda _: released.wait(20) and None, False))
    SlowProbeJob.objects.touch([SlowProbeJob(name=f"slow {i}") for i in range(5)], delay_s=-3)
    with sweeping():
        assert within(5, lambda: SlowProbeJob.objects.exclude(lease_id=None).exists())
        ProbeJob.objects.touch([ProbeJob(name="quick")], delay_s=-3)
        assert within(3, ProbeRun.objects.exists)
        released.set()


def test_a_sweeper_says_that_it_is_there_and_that_it_leaves():
    with sweeping():
        assert within(5, lambda: Process.objects.seen("sweeper").exists())
    assert not Process.objects.exists()


def test_a_sweeper_comes_through_the_loss_of_all_its_connections():
    with sweeping():
        assert within(5, lambda: Process.objects.seen("sweeper").exists())
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        ProbeJob.objects.touch([ProbeJob(name="one")], delay_s=-3)
        assert within(5, ProbeRun.objects.exists)
        assert within(5, lock_holders)


def test_late_jobs_ring_once_for_each_up_to_a_few_and_only_for_workers_that_are_there(monkeypatch):
    rung: list[tuple[str, int]] = []
    monkeypatch.setattr(tasks, "ring", lambda kind, times: rung.append((kind, times)))
    ProbeJob.objects.touch([ProbeJob(name=f"late {i}") for i in range(9)], delay_s=-2)
    SlowProbeJob.objects.touch([SlowProbeJob(name="late")], delay_s=-2)
    tasks.ring_for_late_jobs()
    assert not rung
    Process.objects.report("worker")
    tasks.ring_for_late_jobs()
    assert sorted(rung) == [("probe", tasks.RINGS_PER_TICK), ("slow_probe", 1)]
