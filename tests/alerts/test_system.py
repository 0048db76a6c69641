"""What the system says about itself: one alert for jobs of one kind that failed for good."""

from datetime import timedelta

import pytest
from django.db.models import F

from agentops.accounts.models import Project
from agentops.jobs.registry import Handler, handlers
from agentops.jobs.runner import run_by_id
from agentops.notify.models import FeedItem
from tests.alerts.builders import make_finding
from tests.builders import make_project, make_user
from traces.alerts import mttd, tasks
from traces.alerts.models import Alert, Verdict
from traces.alerts.services import resolve
from traces.detectors.models import AlertJob

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


def set_aside(project: Project, reason: str = "ValueError: poison") -> AlertJob:
    job = AlertJob.objects.create(finding=make_finding(project))
    AlertJob.objects.filter(pk=job.pk).update(quarantined_at=F("created_at"), last_error=reason)
    return job


def test_jobs_of_one_kind_that_failed_for_good_are_one_alert(project: Project) -> None:
    tasks.notice_quarantined()
    assert not Alert.objects.exists()
    for _ in range(3):
        set_aside(project)
        tasks.notice_quarantined()
        tasks.notice_quarantined()
    alert = Alert.objects.get()
    assert (alert.pattern, alert.severity, alert.tool_name, alert.findings) == ("job_quarantined", "high", "alert", 3)
    assert alert.title == "A job of the kind alert failed for good: ValueError: poison"
    assert FeedItem.objects.count() == 1
    set_aside(make_project())
    tasks.notice_quarantined()
    assert Alert.objects.count() == 2
    assert mttd.points(project, alert.onset_at - timedelta(days=1)) == []


def test_what_fails_after_the_verdict_is_a_regression_and_what_failed_before_is_not(project: Project) -> None:
    set_aside(project)
    tasks.notice_quarantined()
    resolve(Alert.objects.get(), by=make_user(), verdict=Verdict.TRUE_POSITIVE)
    tasks.notice_quarantined()
    assert Alert.objects.get().state == "resolved"
    set_aside(project)
    AlertJob.objects.update(quarantined_at=F("quarantined_at") + timedelta(seconds=1))
    Alert.objects.update(resolved_at=F("resolved_at") - timedelta(microseconds=1))
    tasks.notice_quarantined()
    assert (Alert.objects.get().state, Alert.objects.get().number) == ("open", 2)


@pytest.mark.django_db(transaction=True)
def test_a_job_that_fails_five_times_raises_it_by_itself(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(job: AlertJob) -> None:
        raise ValueError("poison")

    monkeypatch.setitem(handlers, "alert", Handler(fail, atomic=True))
    (job_id,) = AlertJob.objects.touch([AlertJob(finding=make_finding(project))])
    for _ in range(5):
        AlertJob.objects.update(due_at=F("created_at"))
        run_by_id("alert", job_id)
    assert Alert.objects.get().pattern == "job_quarantined"
