"""The lease keeper: long jobs keep their lease, and a job that hangs takes its process with it."""

import os
import threading
import time
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now

from agentops.jobs import leases
from tests.probe.models import ProbeJob

pytestmark = pytest.mark.django_db(transaction=True, available_apps=["agentops.jobs", "tests.probe"])


@pytest.fixture
def keeper(monkeypatch: pytest.MonkeyPatch) -> leases.Keeper:
    monkeypatch.setattr(leases, "RENEW_EVERY_S", 0.1)
    return leases.Keeper()


def claimed() -> ProbeJob:
    ProbeJob.objects.touch([ProbeJob(name="long")])
    return ProbeJob.objects.claim()[0]


def nearly_lost(job: ProbeJob) -> bool:
    return ProbeJob.objects.filter(pk=job.pk, lease_until__lt=Now() + timedelta(seconds=5)).exists()


def test_a_long_job_keeps_its_lease_and_one_that_ended_is_not_prolonged(keeper):
    job = claimed()
    with keeper.holding(job):
        ProbeJob.objects.update(lease_until=Now() + timedelta(seconds=1))
        end = time.monotonic() + 5
        while nearly_lost(job) and time.monotonic() < end:
            time.sleep(0.02)
        assert not nearly_lost(job)
    time.sleep(0.25)
    ProbeJob.objects.update(lease_until=Now() + timedelta(seconds=1))
    time.sleep(0.3)
    assert nearly_lost(job)


def test_short_jobs_share_one_thread(keeper):
    before = threading.active_count()
    for _ in range(50):
        with keeper.holding(ProbeJob(name="short")):
            pass
    assert threading.active_count() <= before + 1


def test_a_job_past_its_time_limit_ends_the_process_so_that_another_can_go_on(keeper, monkeypatch):
    monkeypatch.setattr(ProbeJob, "time_limit_s", 0.3)
    job = claimed()
    connection.close()
    if not (child := os.fork()):
        with keeper.holding(job):
            time.sleep(10)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == leases.EXIT_HUNG
    assert ProbeJob.objects.get().attempts == 1
