"""Drills: registered before they are injected, told on the loopback alone, counted apart; a miss is said."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db.models import F
from django.db.models.functions import Now
from django.test import Client
from django.utils import timezone

from agentops.accounts.models import DRILLS_SLUG, Project
from agentops.console import scheduled_drills
from agentops.console.drill_runs import RUNS, native
from agentops.jobs.models import Process
from agentops.notify.models import Delivery, FeedItem
from tests.alerts.builders import looping, raise_one, run_jobs
from tests.builders import bearer, make_key, make_membership, make_project, signed_in
from tests.notify.builders import make_channel
from tests.traces.builders import send
from traces.alerts import drills, mttd, tasks
from traces.alerts.models import Alert
from traces.detectors.models import Finding
from traces.drills.models import Drill
from traces.drills.services import KEPT, drillable, forget_old
from traces.models import DetectJob, Trace

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def program(project: Project) -> Client:
    return Client(headers=bearer(make_key(project).token))


def register(program: Client, **fields: Any) -> Any:
    about = {"pattern": "tool_loop", "trace_id": uuid4().hex, **fields}
    return program.post("/api/v1/drills", about, content_type="application/json")


def drilled(program: Client, project: Project, pattern: str = "tool_loop") -> str:
    """Register and inject a drill, let the workers work, and return its trace."""
    trace_id = register(program, pattern=pattern).json()["trace_id"]
    send(project, *native(pattern, trace_id=trace_id, now=timezone.now()))
    work()
    return trace_id


def work() -> None:
    """Let the workers work, half a minute pass, and them work again: what is judged by silence is due then."""
    run_jobs("detect")
    passed = {name: F(name) - timedelta(seconds=40) for name in ("closes_at", "closed_at", "last_received_at")}
    Trace.objects.update(**passed)
    DetectJob.objects.update(due_at=Now())
    run_jobs("detect", "alert", "deliver")
    tasks.note_missed_deliveries()


def test_a_drill_is_registered_before_its_first_step_and_only_once(program: Client, project: Project) -> None:
    answer = register(program, trace_id="my drill", onset_at=timezone.now().isoformat())
    assert answer.status_code == 201
    assert set(answer.json()) == {"id", "pattern", "trace_id", "onset_at", "registered_at"}
    assert len(answer.json()["trace_id"]) == 32
    assert register(program, trace_id="my drill").status_code == 409
    send(project, *looping("known"))
    late = register(program, trace_id="known")
    assert (late.status_code, late.json()["detail"][:35]) == (409, "Steps of this trace are here alread")


@pytest.mark.parametrize(
    "wrong",
    [{"pattern": "no_such"}, {"onset_at": "2020-01-01T00:00:00Z"}, {"trace_id": ""}, {"onset_at": "soon"}],
    ids=str,
)
def test_what_cannot_be_drilled_is_refused_in_words(program: Client, wrong: dict[str, Any]) -> None:
    answer = register(program, **wrong)
    assert answer.status_code == 400
    assert [error["pointer"] for error in answer.json()["errors"]] == [f"/{name}" for name in wrong]
    assert not Drill.objects.exists()


def test_an_unknown_pattern_is_told_which_ones_there_are(program: Client) -> None:
    (error,) = register(program, pattern="no_such").json()["errors"]
    assert "No detector recognises no_such" in error["detail"]
    assert "tool_loop" in error["detail"]


def test_a_drill_is_told_on_the_loopback_alone_and_counted_apart(program: Client, project: Project) -> None:
    make_channel(project, "https://127.0.0.1/")
    trace_id = drilled(program, project)
    alert = Alert.objects.get(project=project)
    assert alert.drill is not None
    assert alert.delivered_at is not None
    assert set(Delivery.objects.values_list("channel__kind", "state")) == {("loopback", "delivered")}
    assert not FeedItem.objects.exists()
    (answered,) = program.get(f"/api/v1/alerts?trace={trace_id}&pattern=tool_loop").json()["results"]
    assert answered["drill"] is True
    assert program.get("/api/v1/alerts?drill=false").json()["results"] == []
    figures = program.get("/api/v1/mttd").json()
    assert (figures["all"]["n"], figures["onset"]) == (0, "detector")
    assert (figures["drills"]["all"]["n"], figures["drills"]["all"]["misses"], figures["drills"]["onset"]) == (
        1,
        0,
        "drill",
    )
    person = signed_in(make_membership(project))
    assert "drill-" not in person.get("/alerts").content.decode()
    assert "drill-" in person.get("/alerts?drill=1").content.decode()
    page = person.get("/mttd").content.decode()
    assert "onset as registered before" in page


def test_a_drill_hides_in_no_real_alert_and_no_failure_in_a_drill_s(program: Client, project: Project) -> None:
    send(project, *looping("real-1", agent="bot"))
    run_jobs()
    trace_id = register(program).json()["trace_id"]
    send(project, *looping(trace_id, agent="bot"))
    run_jobs()
    send(project, *looping("real-2", agent="bot"))
    run_jobs()
    assert sorted((alert.drill_id is not None, alert.findings) for alert in Alert.objects.all()) == [
        (False, 2),
        (True, 1),
    ]


def test_real_findings_that_wait_take_no_drill_s_with_them(program: Client, project: Project) -> None:
    trace_id = register(program).json()["trace_id"]
    for trace in ("real", trace_id):
        send(project, *looping(trace, agent="bot"))
    run_jobs()
    assert sorted((alert.drill_id is not None, alert.findings) for alert in Alert.objects.all()) == [
        (False, 1),
        (True, 1),
    ]


@pytest.mark.parametrize("pattern", [pattern for pattern in RUNS if pattern in drillable()])
def test_each_run_is_recognised_as_what_it_is_meant_to_be(program: Client, project: Project, pattern: str) -> None:
    trace_id = drilled(program, project, pattern)
    found = Finding.objects.filter(pattern=pattern, trace__trace_id=trace_id)
    assert found.exists(), list(Finding.objects.values_list("pattern", "kind"))
    assert Alert.objects.filter(pattern=pattern, drill__isnull=False).exclude(delivered_at=None).count() == 1
    assert not Alert.objects.filter(drill=None).exists()


def test_every_pattern_that_a_detector_recognises_can_be_drilled() -> None:
    assert set(drillable()) <= set(RUNS)


def test_a_missed_drill_counts_as_the_cap_until_it_is_told(program: Client, project: Project) -> None:
    register(program)
    since = timezone.now() - timedelta(days=1)
    assert drills.points(project, since) == []
    Drill.objects.update(registered_at=F("registered_at") - drills.PATIENCE)
    (point,) = drills.points(project, since)
    assert (point.is_missed, point.to_told_s, point.receipt_to_told_s) == (True, mttd.CAP.total_seconds(), None)
    assert drills.points(make_project(), since) == []


def test_the_clock_drills_each_pattern_once_an_interval_in_a_project_of_their_own(settings: Any) -> None:
    settings.DRILL_EVERY_S = 600
    home = make_membership(make_project("home", name="Zoo")).user
    done = [scheduled_drills.run_next() for _ in RUNS]
    assert [pattern for pattern in done if pattern] == [pattern for pattern in RUNS if pattern in drillable()]
    assert scheduled_drills.run_next() == ""
    project = Project.objects.get(slug=DRILLS_SLUG)
    assert set(Drill.objects.values_list("project", "is_scheduled")) == {(project.pk, True)}
    assert list(project.memberships.values_list("user", "role")) == [(home.pk, "admin")]
    Drill.objects.update(registered_at=F("registered_at") - timedelta(minutes=10))
    assert scheduled_drills.run_next() == "tool_loop"


def test_the_project_of_drills_is_nobody_s_first_choice(settings: Any) -> None:
    settings.DRILL_EVERY_S = 600
    membership = make_membership(make_project("home", name="Zoo"))
    scheduled_drills.run_next()
    client = Client()
    client.force_login(membership.user)
    assert client.get("/alerts").wsgi_request.project == membership.project


def test_drills_are_off_where_the_setting_says_so(settings: Any, project: Project) -> None:
    settings.DRILL_EVERY_S = 0
    assert scheduled_drills.run_next() == ""
    assert not Drill.objects.exists()


def test_a_scheduled_drill_that_nobody_was_told_of_is_an_alert_for_those_who_keep_the_installation(
    settings: Any, project: Project
) -> None:
    settings.DRILL_EVERY_S = 600
    make_membership(project)
    scheduled_drills.run_next()
    drills.notice_missed()
    assert not Alert.objects.exists()
    Drill.objects.update(registered_at=F("registered_at") - drills.PATIENCE)
    drills.notice_missed()
    drills.notice_missed()
    alert = Alert.objects.get()
    assert (alert.project, alert.pattern, alert.severity, alert.findings) == (
        project,
        "component_silent",
        "critical",
        1,
    )
    assert "tool_loop was not told" in alert.title
    assert FeedItem.objects.filter(project=project, severity="critical").count() == 1


def test_the_alert_about_a_missed_drill_resolves_itself_when_the_next_one_is_told(
    settings: Any, project: Project, program: Client
) -> None:
    settings.DRILL_EVERY_S = 600
    make_membership(project)
    for kind in ("worker", "sweeper"):
        Process.objects.report(kind)
    assert scheduled_drills.run_next() == "tool_loop"
    assert program.get("/healthz/deep").status_code == 200  # it is on its way
    Drill.objects.update(registered_at=F("registered_at") - timedelta(minutes=10))
    DetectJob.objects.all().delete()  # nobody looks at it
    tasks.notice_missed_drills()
    tasks.notice_missed_drills()
    alert = Alert.objects.get(drill=None)
    assert alert.state == "open"
    answer = program.get("/healthz/deep")
    assert (answer.status_code, answer.json()["workers"]) == (503, 1)
    assert scheduled_drills.run_next() == "tool_loop"
    tasks.notice_missed_drills()
    alert.refresh_from_db()
    assert alert.state == "open"
    work()
    tasks.notice_missed_drills()
    alert.refresh_from_db()
    assert (alert.state, alert.verdict, alert.resolved_by) == ("resolved", "true_positive", None)
    assert program.get("/healthz/deep").status_code == 200


def test_agents_of_past_drills_leave_their_names(settings: Any, project: Project) -> None:
    settings.DRILL_EVERY_S = 600
    make_membership(project)
    scheduled_drills.run_next()
    Trace.objects.update(received_at=F("received_at") - scheduled_drills.NAMED)
    scheduled_drills.run_next()
    send(project, *looping("real", agent="drill-like"))
    Trace.objects.filter(project=project).update(received_at=F("received_at") - scheduled_drills.NAMED)
    scheduled_drills.gather_old_agents()
    agents = [agent.partition("-")[0] for agent in Trace.objects.order_by("id").values_list("agent", flat=True)]
    assert agents == ["past drills", "drill", "drill"]


def test_scheduled_drills_measure_the_installation_for_every_project(settings: Any, project: Project) -> None:
    settings.DRILL_EVERY_S = 600
    make_membership(project)
    scheduled_drills.run_next()
    work()
    (point,) = drills.points(project, timezone.now() - timedelta(days=1))
    assert (point.pattern, point.is_missed) == ("tool_loop", False)
    last_s = drills.last_told_s()
    assert last_s is not None
    assert 0 <= last_s < 60


def test_deep_health_says_how_long_ago_a_drill_was_told(program: Client, project: Project) -> None:
    for kind in ("worker", "sweeper"):
        Process.objects.report(kind)
    assert program.get("/healthz/deep").json()["last_drill_s"] is None
    drilled(program, project)
    assert 0 <= program.get("/healthz/deep").json()["last_drill_s"] < 60


def test_old_drills_go_with_what_they_raised_and_leave_the_rest(program: Client, project: Project) -> None:
    drilled(program, project)
    real = raise_one(project)
    forget_old()
    assert Alert.objects.count() == 2
    Drill.objects.update(registered_at=F("registered_at") - KEPT - timedelta(days=1))
    forget_old()
    assert list(Alert.objects.all()) == [real]


def test_the_runs_are_steps_that_the_door_takes_whole(project: Project) -> None:
    for pattern in RUNS:
        steps = native(pattern, trace_id=uuid4().hex, now=timezone.now())
        assert not send(project, *steps).rejected
    assert len({trace.agent for trace in Trace.objects.all()}) == len(RUNS)
