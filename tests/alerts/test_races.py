"""Many at once: two people on one alert, many workers on one fingerprint, one key sent twice."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import close_old_connections, connection
from django.test import Client

from agentops.accounts.models import Project
from agentops.jobs.runner import run_by_id
from agentops.notify.models import Delivery, FeedItem
from tests.alerts.builders import make_finding, make_trace, raise_one
from tests.builders import bearer, make_key, make_project, make_user
from tests.notify.builders import make_channel
from traces.alerts import grouping, services
from traces.alerts.grouping import bring
from traces.alerts.models import Alert, AlertFinding, PastOccurrence, Verdict
from traces.detectors.models import AlertJob, Finding

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def project() -> Project:
    return make_project()


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Call all of them at the same moment, each on a connection of its own; return results or errors."""
    barrier = threading.Barrier(len(calls))
    results: list[Any] = [None] * len(calls)

    def run(place: int, call: Callable[[], Any]) -> None:
        barrier.wait()
        try:
            results[place] = call()
        except Exception as error:
            results[place] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=item) for item in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    close_old_connections()
    return results


def test_of_eight_people_one_has_the_alert_and_the_others_hear_who(project: Project) -> None:
    people = [make_user() for _ in range(8)]
    alerts = [Alert.objects.get(pk=raise_one(project).pk) for _ in people]
    results = at_once(
        *(lambda a=a, by=by: services.acknowledge(a, by=by) for a, by in zip(alerts, people, strict=True))
    )
    winners = [result for result in results if isinstance(result, Alert)]
    losers = [result for result in results if isinstance(result, services.AlreadyDoneError)]
    assert (len(winners), len(losers)) == (1, 7)
    holder = Alert.objects.get().acknowledged_by
    assert all(str(holder) in str(loser) for loser in losers)


def test_resolving_and_acknowledging_at_once_ends_resolved(project: Project) -> None:
    one, other = make_user(), make_user()
    for _ in range(5):
        alert = raise_one(project)
        again = Alert.objects.get(pk=alert.pk)
        at_once(
            lambda a=alert: services.acknowledge(a, by=one),
            lambda a=again: services.resolve(a, by=other, verdict=Verdict.TRUE_POSITIVE),
        )
        assert Alert.objects.get().state == "resolved"
        assert Alert.objects.get().resolved_by == other


def test_findings_of_one_cause_at_once_open_one_alert_and_write_one_message(project: Project) -> None:
    make_channel(project)
    trace = make_trace(project)
    for round_ in range(1, 4):
        findings = [make_finding(project, trace) for _ in range(8)]
        results = at_once(*(lambda f=f: bring(f) for f in findings))
        assert results == [None] * 8
        alert = Alert.objects.get()
        assert (alert.number, alert.findings) == (round_, 8)
        assert Delivery.objects.count() == FeedItem.objects.count() == round_
        services.resolve(alert, by=make_user(), verdict=Verdict.TRUE_POSITIVE)
    assert PastOccurrence.objects.count() == 2
    assert AlertFinding.objects.filter(fate="alert").count() == 24


def test_one_job_taken_by_many_workers_counts_its_finding_once(project: Project) -> None:
    trace = make_trace(project)
    for _ in range(5):
        finding = make_finding(project, trace)
        (job_id,) = AlertJob.objects.touch([AlertJob(finding=finding)])
        at_once(*[partial(run_by_id, "alert", job_id)] * 6)
    assert Alert.objects.get().findings == Finding.objects.count() == 5
    assert not AlertJob.objects.exists()


def test_a_finding_brought_by_two_who_both_think_they_hold_it_is_counted_once(project: Project) -> None:
    for _ in range(5):
        finding = make_finding(project)
        at_once(*[lambda f=finding: bring(Finding.objects.select_related("trace").get(pk=f.pk))] * 4)
    assert Alert.objects.get().findings == AlertFinding.objects.count() == 5


def test_a_worker_that_dies_in_the_middle_leaves_nothing_and_the_next_does_it_all(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_channel(project)
    finding = make_finding(project)
    (job_id,) = AlertJob.objects.touch([AlertJob(finding=finding)])

    def die(*_: Any) -> None:
        raise SystemExit("killed")

    with monkeypatch.context() as patch:
        patch.setattr(grouping, "announce", die)
        run_by_id("alert", job_id)
    assert not Alert.objects.exists()
    assert not AlertFinding.objects.exists()
    assert not Delivery.objects.exists()
    AlertJob.objects.update(due_at=finding.detected_at)
    assert run_by_id("alert", job_id)
    assert Alert.objects.get().findings == Delivery.objects.count() == 1


def test_a_call_repeated_while_it_runs_is_told_so_and_done_once(project: Project, monkeypatch: Any) -> None:
    alert = raise_one(project)
    headers = {**bearer(make_key(project).token), "Idempotency-Key": "k-1"}
    url = f"/api/v1/alerts/{alert.pk}/acknowledge"
    started, go_on = threading.Event(), threading.Event()
    acknowledge = services.acknowledge

    def slowly(*args: Any, **kwargs: Any) -> Alert:
        started.set()
        go_on.wait(10)
        return acknowledge(*args, **kwargs)

    monkeypatch.setattr(services, "acknowledge", slowly)

    def second() -> int:
        started.wait(10)
        status = Client().post(url, headers=headers).status_code
        go_on.set()
        return status

    first, told = at_once(lambda: Client().post(url, headers=headers).status_code, second)
    assert (first, told) == (200, 409)
    assert Client().post(url, headers=headers).status_code == 200
