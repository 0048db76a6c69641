"""Claims, leases and finishing, on a real Postgres with real commits."""

import threading
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now

from agentops.jobs.errors import LeaseLostError
from agentops.jobs.queryset import LEASE
from tests.probe.models import ProbeJob

pytestmark = pytest.mark.django_db(transaction=True, available_apps=["agentops.jobs", "tests.probe"])


def touch(*names: str, delay_s: float = 0.0, behaviour: str = "") -> None:
    ProbeJob.objects.touch([ProbeJob(name=name, behaviour=behaviour) for name in names], delay_s=delay_s)


def let_the_lease_run_out() -> None:
    ProbeJob.objects.exclude(lease_id=None).update(lease_until=Now() - timedelta(minutes=1))


def at_once(count: int, act: Callable[[], None]) -> None:
    barrier = threading.Barrier(count)

    def run() -> None:
        barrier.wait()
        try:
            act()
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_claims_at_the_same_time_give_each_row_to_one_claimer_only():
    touch(*(f"job {i}" for i in range(40)))
    got: list[str] = []

    def claim_until_empty() -> None:
        while claimed := ProbeJob.objects.claim(limit=3):
            got.extend(job.name for job in claimed)

    at_once(8, claim_until_empty)
    assert sorted(got) == sorted(f"job {i}" for i in range(40))


def test_a_claim_takes_the_longest_due_first_and_leaves_what_is_not_due():
    touch("later", delay_s=60)
    touch("second")
    touch("first", delay_s=-5)
    assert [job.name for job in ProbeJob.objects.claim(limit=5)] == ["first", "second"]


def test_a_claim_costs_one_attempt_and_ten_seconds_of_lease():
    touch("one")
    (job,) = ProbeJob.objects.claim()
    row = ProbeJob.objects.get()
    assert (row.attempts, row.lease_id) == (1, job.lease_id)
    assert ProbeJob.objects.filter(lease_until__gt=Now() + LEASE - timedelta(seconds=1)).exists()
    assert not ProbeJob.objects.claim()


def test_a_claim_of_some_rows_by_id_leaves_the_others():
    touch("mine", "other")
    mine = ProbeJob.objects.get(name="mine")
    assert [job.name for job in ProbeJob.objects.claim(limit=9, ids=[mine.pk, uuid4()])] == ["mine"]


def test_an_overdue_claim_leaves_fresh_rows_to_those_who_were_told():
    touch("fresh")
    touch("old", delay_s=-3)
    assert [job.name for job in ProbeJob.objects.claim(limit=9, overdue_s=2)] == ["old"]


def test_a_job_whose_lease_ran_out_goes_to_another_and_the_first_cannot_finish_it():
    touch("one")
    (first,) = ProbeJob.objects.claim()
    let_the_lease_run_out()
    (second,) = ProbeJob.objects.claim()
    assert second.attempts == 2
    with pytest.raises(LeaseLostError):
        first.finish()
    first.fail("too late")
    assert ProbeJob.objects.get().lease_id == second.lease_id
    assert second.finish() is False
    assert not ProbeJob.objects.exists()


def test_a_row_touched_while_it_runs_is_due_again_with_all_its_attempts():
    touch("one")
    (job,) = ProbeJob.objects.claim()
    touch("one")
    assert not ProbeJob.objects.claim(), "the touch must not take the row from who works on it"
    assert job.finish() is True
    (again,) = ProbeJob.objects.claim()
    assert (again.attempts, again.revision) == (1, 1)


def test_a_job_may_ask_to_run_again_later():
    touch("one")
    (job,) = ProbeJob.objects.claim()
    assert job.finish(again_in=timedelta(minutes=1)) is False
    assert not ProbeJob.objects.due().exists()
    touch("one")
    assert ProbeJob.objects.due().exists(), "news makes it due before its own wish"


def test_renewing_prolongs_what_is_held_and_nothing_else():
    touch("held", "lost")
    held, lost = sorted(ProbeJob.objects.claim(limit=2), key=lambda job: job.name)
    ProbeJob.objects.filter(pk=lost.pk).update(lease_id=uuid4())
    let_the_lease_run_out()
    assert held.lease_id
    ProbeJob.objects.renew(ids=[held.pk, lost.pk], lease_ids=[held.lease_id])
    assert [job.name for job in ProbeJob.objects.due()] == ["lost"]


def test_a_touch_of_many_rows_is_one_statement(django_assert_num_queries):
    with django_assert_num_queries(1):
        ids = ProbeJob.objects.touch([ProbeJob(name=f"job {i}") for i in range(500)])
    assert len(set(ids)) == 500
    with django_assert_num_queries(1):
        assert set(ProbeJob.objects.touch([ProbeJob(name=f"job {i % 500}") for i in range(700)])) == set(ids)


def test_a_touch_belongs_to_the_transaction_of_its_fact():
    with transaction.atomic():
        touch("one")
        transaction.set_rollback(True)
    assert not ProbeJob.objects.exists()


def test_a_touch_keeps_the_earlier_time_and_takes_the_newest_content():
    touch("one", delay_s=60, behaviour="old")
    touch("one", behaviour="new")
    touch("one", delay_s=60, behaviour="newest")
    assert ProbeJob.objects.due().get().behaviour == "newest"


def test_a_touch_does_not_use_up_the_attempts_of_a_job_that_waits_after_a_failure():
    touch("one")
    ProbeJob.objects.claim()[0].fail("no luck")
    touch("one")
    assert not ProbeJob.objects.due().exists()


def test_touches_in_opposite_order_do_not_deadlock():
    names = [f"job {i}" for i in range(50)]
    orders = iter([names, names[::-1]] * 4)
    lock = threading.Lock()

    def touch_all() -> None:
        with lock:
            order = next(orders)
        for _ in range(10):
            touch(*order)

    at_once(8, touch_all)
    assert set(ProbeJob.objects.values_list("revision", flat=True)) == {79}
