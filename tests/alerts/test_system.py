"""What the system says about itself: one alert for jobs of one kind that failed for good."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now

from agentops.accounts.models import Project
from agentops.audit import heads
from agentops.audit import services as audit
from agentops.audit.ref import SYSTEM
from agentops.audit.verify import verify_newest
from agentops.jobs.models import Process
from agentops.jobs.registry import Handler, chores, handlers, worker_chores
from agentops.jobs.runner import run_by_id
from agentops.notify import recording
from agentops.notify.models import Channel, DeliverJob, Delivery, FeedItem
from tests.alerts.builders import make_finding
from tests.builders import make_project, make_user
from tests.notify.builders import make_channel
from traces.alerts import mttd, system, tasks
from traces.alerts.models import Alert, Verdict
from traces.alerts.services import resolve
from traces.detectors.models import AlertJob

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def own_heads(settings: Any, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path


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


@pytest.mark.django_db(transaction=True)
def test_a_channel_that_fails_is_an_alert_until_it_works_again_and_people_are_told_once(project: Project) -> None:
    make_channel(project, name="the other")
    channel = make_channel(project, name="on call")
    fail(channel, minutes=3)
    for _ in range(2):
        recording.tell_of_failing_channels()
        system.notice_channels()
    alert = Alert.objects.get()
    assert (alert.pattern, alert.state, alert.findings) == ("channel_failing", "open", 1)
    assert alert.title == "The channel on call fails: 503"
    assert Delivery.objects.filter(channel__name="the other").count() == Delivery.objects.count() == 1
    assert alert.told_key == Delivery.objects.get().key
    channel.refresh_from_db()
    recording._tell_recovered(channel)  # as a delivery that arrives does
    Channel.objects.filter(pk=channel.pk).update(failing_since=None, told_at=None)
    system.notice_channels()
    alert.refresh_from_db()
    assert (alert.state, alert.verdict, alert.resolved_by) == ("resolved", "true_positive", None)
    assert [d.content().kind for d in Delivery.objects.order_by("id")] == ["channel.failing", "channel.recovered"]
    fail(channel, minutes=2)
    recording.tell_of_failing_channels()
    system.notice_channels()
    assert (Alert.objects.get().state, Alert.objects.get().number) == ("open", 2)


def fail(channel: Channel, *, minutes: int) -> None:
    since = Now() - timedelta(minutes=minutes)
    Channel.objects.filter(pk=channel.pk).update(failing_since=since, last_error="503")


def test_a_failing_channel_that_a_person_resolved_is_not_raised_again(project: Project) -> None:
    channel = make_channel(project)
    fail(channel, minutes=3)
    Channel.objects.update(told_at=Now())
    system.notice_channels()
    resolve(Alert.objects.get(), by=make_user(), verdict=Verdict.TRUE_POSITIVE)
    system.notice_channels()
    assert Alert.objects.get().state == "resolved"


@pytest.mark.parametrize("kind", ["worker", "sweeper"])
def test_processes_that_fall_silent_are_an_alert_in_every_project_until_one_is_back(
    project: Project, kind: str
) -> None:
    look = {"worker": chores["traces.alerts.tasks.notice_silent_workers"].run}
    look["sweeper"] = worker_chores["traces.alerts.tasks.notice_silent_sweepers"]
    make_project()
    look[kind]()
    Process.objects.report(kind)
    look[kind]()
    assert not Alert.objects.exists()
    Process.objects.update(seen_at=Now() - timedelta(minutes=1))
    for _ in range(2):
        look[kind]()
    assert list(Alert.objects.values_list("pattern", "state", "findings")) == [("component_silent", "open", 1)] * 2
    Process.objects.report(kind)
    look[kind]()
    assert set(Alert.objects.values_list("state", flat=True)) == {"resolved"}
    titles = FeedItem.objects.of(project).order_by("id").values_list("title", flat=True)
    assert [title.partition(":")[0] for title in titles][1:] == ["Recovered"]
    Process.objects.leave(kind)
    look[kind]()
    assert not Alert.objects.unresolved().exists()


def test_messages_that_nobody_sends_are_a_critical_alert_until_somebody_does(project: Project) -> None:
    channel = make_channel(project)
    look = chores["traces.alerts.tasks.notice_unsent"].run
    (job_id,) = DeliverJob.objects.touch([DeliverJob(channel=channel)])
    look()
    assert not Alert.objects.exists()
    DeliverJob.objects.update(due_at=Now() - timedelta(minutes=1))
    for _ in range(2):
        look()
    alert = Alert.objects.get()
    assert (alert.pattern, alert.severity, alert.findings) == ("component_silent", "critical", 1)
    DeliverJob.objects.filter(pk=job_id).delete()
    look()
    assert Alert.objects.get().state == "resolved"


def test_a_trail_that_was_changed_is_a_critical_alert_once(project: Project, own_heads: None) -> None:
    for n in range(6):
        audit.record(f"thing.{n}", actor=SYSTEM, project=project)
    tasks.notice_audit()
    assert [report.problem for report in verify_newest(rows=3)] == [""]
    assert not Alert.objects.exists()
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("UPDATE audit_entry SET action = 'nothing' WHERE seq = 5")
        cursor.execute("SET session_replication_role = origin")
    assert "seq 5" in verify_newest(rows=3)[0].problem
    assert verify_newest(rows=1)[0].problem == ""
    for _ in range(2):
        tasks.notice_audit()
    alert = Alert.objects.get()
    assert (alert.pattern, alert.severity, alert.findings) == ("audit_broken", "critical", 1)
    assert "seq 5" in alert.title
    resolve(alert, by=make_user(), verdict=Verdict.TRUE_POSITIVE)
    tasks.notice_audit()
    assert Alert.objects.get().state == "resolved"


def test_exported_rows_that_are_gone_are_noticed_among_the_newest(project: Project, own_heads: None) -> None:
    for n in range(6):
        audit.record(f"thing.{n}", actor=SYSTEM, project=project)
    heads.export_heads()
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("DELETE FROM audit_entry WHERE seq = 6")
        cursor.execute("SET session_replication_role = origin")
    assert "the tail is cut off" in verify_newest(rows=3)[0].problem
