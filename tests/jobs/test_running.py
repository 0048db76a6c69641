"""What happens to a job when its handler ends well, raises, hangs on to it too long, or takes the process with it."""

import os
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now

from agentops.jobs import registry
from agentops.jobs.errors import describe
from agentops.jobs.runner import run_by_id, run_claimed, run_due
from agentops.jobs.signals import quarantined
from tests.probe.models import ProbeJob, ProbeRun, SlowProbeJob
from tests.probe.tasks import count_run

pytestmark = pytest.mark.django_db(transaction=True, available_apps=["agentops.jobs", "tests.probe"])


@pytest.fixture(autouse=True)
def _handlers() -> None:
    registry.discover()


@pytest.fixture
def set_aside() -> Iterator[list[dict[str, Any]]]:
    heard: list[dict[str, Any]] = []

    def hear(sender: type[ProbeJob], kind: str, job_id: uuid.UUID, reason: str, **_: object) -> None:
        heard.append({"kind": kind, "job_id": job_id, "reason": reason})

    quarantined.connect(hear)
    yield heard
    quarantined.disconnect(hear)


def touch(name: str = "one", behaviour: str = "") -> uuid.UUID:
    return ProbeJob.objects.touch([ProbeJob(name=name, behaviour=behaviour)])[0]


def make_everything_due() -> None:
    ProbeJob.objects.filter(quarantined_at=None).update(due_at=Now(), lease_id=None, lease_until=None)


def backoff_s() -> float:
    row = ProbeJob.objects.annotate(wait=F("due_at") - Now()).get()
    return row.wait.total_seconds()


def test_a_job_that_ends_well_is_gone_and_its_effect_is_there():
    assert run_by_id("probe", touch())
    assert not ProbeJob.objects.exists()
    assert ProbeRun.objects.count() == 1


def test_a_message_delivered_three_times_runs_the_job_once():
    job_id = touch()
    assert [run_by_id("probe", job_id) for _ in range(3)] == [True, False, False]
    assert ProbeRun.objects.count() == 1


def test_a_job_touched_while_it_runs_runs_once_more_at_once(monkeypatch):
    job_id = touch()

    def touched_meanwhile(job: ProbeJob) -> None:
        count_run(job)
        if job.revision == 0:
            touch()

    monkeypatch.setitem(registry.handlers, "probe", registry.Handler(touched_meanwhile, atomic=False))
    assert run_by_id("probe", job_id)
    assert list(ProbeRun.objects.order_by("revision").values_list("revision", flat=True)) == [0, 1]
    assert not ProbeJob.objects.exists()


@pytest.mark.parametrize(("atomic", "effects"), [(True, 0), (False, 1)])
def test_a_lost_lease_rolls_back_what_an_atomic_handler_did(monkeypatch, atomic, effects):
    touch()

    def too_slow(job: ProbeJob) -> None:
        count_run(job)
        ProbeJob.objects.update(lease_id=uuid.uuid4())

    monkeypatch.setitem(registry.handlers, "probe", registry.Handler(too_slow, atomic=atomic))
    run_claimed(ProbeJob.objects.claim()[0])
    assert ProbeRun.objects.count() == effects
    assert ProbeJob.objects.count() == 1


def test_a_handler_that_raises_five_times_is_quarantined_with_its_reason(set_aside):
    job_id = touch(behaviour="raise")
    waits = []
    for _ in range(4):
        run_by_id("probe", job_id)
        waits.append(backoff_s())
        make_everything_due()
    assert waits == pytest.approx([1, 4, 16, 64], abs=0.9)
    assert not set_aside
    run_by_id("probe", job_id)
    row = ProbeJob.objects.get()
    assert row.quarantined_at
    assert row.last_error.startswith("RuntimeError: one was told to raise (tasks.py:")
    assert set_aside == [{"kind": "probe", "job_id": job_id, "reason": row.last_error}]
    assert not ProbeRun.objects.exists()
    assert not run_by_id("probe", job_id)


def test_a_quarantined_job_stays_so_when_touched_and_runs_once_released():
    job_id = touch()
    ProbeJob.objects.claim()[0].quarantine("for a test")
    touch()
    assert not run_by_id("probe", job_id)
    assert ProbeJob.objects.filter(name="one").release() == 1
    assert run_by_id("probe", job_id)


def test_a_job_that_kills_its_process_is_quarantined_after_five_deaths_and_its_neighbours_run(set_aside):
    touch("deadly", behaviour="die")
    neighbours = [f"neighbour {i}" for i in range(10)]
    for _ in range(7):
        ProbeJob.objects.touch([ProbeJob(name=name) for name in neighbours])
        make_everything_due()
        connection.close()
        if not (child := os.fork()):
            run_due(["probe"], overdue_s=0, for_s=5)
            os._exit(0)
        os.waitpid(child, 0)
    make_everything_due()
    run_due(["probe"], overdue_s=0, for_s=5)
    row = ProbeJob.objects.get()
    assert (row.name, row.attempts) == ("deadly", 5)
    assert row.last_error == "The process died, or lost its lease, in each of 5 attempts."
    assert len(set_aside) <= 1, "announced once, by whoever found it"
    assert set(ProbeRun.objects.values_list("name", flat=True)) == set(neighbours)


def test_a_job_may_want_to_run_again_later():
    run_by_id("probe", touch(behaviour="again:30"))
    assert backoff_s() == pytest.approx(30, abs=1)
    assert ProbeJob.objects.get().attempts == 0


def test_kinds_take_turns_so_that_one_cannot_starve_another():
    for i in range(20):
        touch(f"many {i}", behaviour="sleep:0.02")
    SlowProbeJob.objects.touch([SlowProbeJob(name="lonely")])
    run_due(["probe", "slow_probe"], overdue_s=0, for_s=0.2)
    assert not SlowProbeJob.objects.exists()
    assert ProbeJob.objects.exists()


def test_a_kind_without_a_handler_here_is_left_alone(monkeypatch):
    job_id = touch()
    monkeypatch.delitem(registry.handlers, "probe")
    assert not run_by_id("probe", job_id)
    assert run_due(["probe"], overdue_s=0, for_s=1) == 0
    assert ProbeJob.objects.get().attempts == 0


def test_a_second_handler_for_a_kind_is_refused():
    with pytest.raises(ValueError, match="handled by"):
        registry.handles("probe", atomic=True)(lambda job: timedelta())


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("cannot reach postgresql://agentops:hunter2@db/agentops", "cannot reach postgresql://…@db/agentops"),
        ("bad key aop_live_abcdefghij_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG", "bad key …"),
        ("duplicate key\nDETAIL:  Key (email)=(a@b.c) already exists.", "duplicate key"),
        ("nul \x00 and half a pair \ud800", "nul � and half a pair ?"),
    ],
)
def test_a_reason_tells_what_happened_without_secrets_or_rows(message, told):
    assert describe(ValueError(message)) == f"ValueError: {told}"


def test_a_reason_is_bounded():
    assert len(describe(ValueError("word " * 10_000))) < 1_000
    assert describe(ValueError()) == "ValueError"
