"""The figures that health pages show, and the task that messages call."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db.models.functions import Now

from agentops.jobs import queries, tasks
from agentops.jobs.models import Process
from agentops.jobs.registry import handled
from tests.probe.models import ProbeJob, ProbeRun

pytestmark = pytest.mark.django_db(transaction=True, available_apps=["agentops.jobs", "tests.probe"])


def touch(*names: str, delay_s: float = 0.0) -> list[str]:
    return [str(i) for i in ProbeJob.objects.touch([ProbeJob(name=name) for name in names], delay_s=delay_s)]


def test_the_oldest_due_job_is_the_one_that_waits_longest_not_one_at_work():
    assert queries.oldest_due_job_s() == 0
    touch("later", delay_s=60)
    touch("at work", delay_s=-90)
    ProbeJob.objects.claim()
    assert queries.oldest_due_job_s() == 0
    touch("waiting", delay_s=-30)
    assert queries.oldest_due_job_s() == pytest.approx(30, abs=2)


def test_a_job_whose_process_died_waits_since_its_lease_ended():
    touch("left behind", delay_s=-90)
    ProbeJob.objects.claim()
    ProbeJob.objects.update(lease_until=Now() - timedelta(seconds=7))
    assert queries.oldest_due_job_s() == pytest.approx(7, abs=2)


def test_the_oldest_job_costs_one_query_for_each_kind_and_late_ones_cost_one_in_all(django_assert_num_queries):
    with django_assert_num_queries(len(handled())):
        queries.oldest_due_job_s()
    with django_assert_num_queries(1):
        queries.late_jobs(1, at_most=4)


def test_late_jobs_are_those_that_could_be_claimed_counted_up_to_a_limit_and_of_the_kinds_asked_for():
    for name, delay_s in {"at work": -90, "bad": -80}.items():
        touch(name, delay_s=delay_s)
        ProbeJob.objects.claim()
    ProbeJob.objects.get(name="bad").quarantine("for a test")
    touch("in time", delay_s=-1)
    assert queries.late_jobs(5, at_most=4) == {}
    assert queries.late_jobs(0, at_most=4) == {"probe": 1}
    touch(*map(str, range(9)), delay_s=-30)
    assert queries.late_jobs(5, at_most=4) == {"probe": 4}
    assert queries.late_jobs(5, at_most=4, kinds=["slow_probe"]) == {}
    assert queries.late_jobs(5, at_most=4, kinds=[]) == {}
    assert len(ProbeJob.objects.due(overdue_s=5)) == 9


def test_quarantined_jobs_are_counted_by_kind_and_are_not_due():
    touch("bad", delay_s=-30)
    ProbeJob.objects.claim()[0].quarantine("for a test")
    assert queries.quarantined_jobs() == {"probe": 1}
    assert queries.oldest_due_job_s() == 0


def test_processes_count_while_they_report():
    assert queries.worker_count() == 0
    assert queries.sweeper_seen_s() is None
    for kind in ("worker", "sweeper", "sweeper"):
        Process.objects.report(kind)
    assert queries.worker_count() == 1
    Process.objects.update(seen_at=Now() - timedelta(seconds=20))
    assert queries.worker_count() == 0
    assert queries.sweeper_seen_s() == pytest.approx(20, abs=2)
    Process.objects.update(seen_at=Now() - timedelta(hours=2))
    tasks.forget_dead_processes()
    assert not Process.objects.exists()


def test_a_message_with_ids_runs_those_and_one_without_runs_what_is_late():
    (wanted,) = touch("wanted")
    touch("fresh")
    touch("late", delay_s=-5)
    tasks.run("probe", [wanted, str(uuid4())])
    assert set(ProbeRun.objects.values_list("name", flat=True)) == {"wanted"}
    tasks.run("probe", [])
    assert set(ProbeRun.objects.values_list("name", flat=True)) == {"wanted", "late"}


def test_a_message_for_a_kind_that_is_gone_does_nothing():
    tasks.run("no such kind", [str(uuid4())])
    tasks.run("no such kind", [])
