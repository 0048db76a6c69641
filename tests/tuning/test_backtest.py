"""Backtests: what other thresholds would have found in stored traces; nothing is saved of it, nothing live waits."""

from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.db.models.functions import Now
from django.test import Client

from agentops.accounts.models import Project
from agentops.audit.models import Entry
from tests.alerts.builders import looping, run_jobs
from tests.builders import make_membership, make_project
from tests.traces.builders import send
from traces.detectors.models import DetectorSettings, DetectorState, Finding
from traces.detectors.tool_loop import ToolLoop
from traces.models import DetectJob, Trace
from traces.tuning import backtests
from traces.tuning.trials import Backtest, BacktestJob, BacktestState, Difference

pytestmark = pytest.mark.django_db
SET = "/detectors/ToolLoop/set"


def ask(client: Client, **fields: Any) -> Any:
    return client.post(SET, {"mode": "on", "base": 0, "backtest": 1, **fields})


def work() -> Backtest:
    """Let the worker go on until nothing is left to do."""
    run_jobs("detect", "alert")
    for _ in range(20):
        BacktestJob.objects.update(due_at=Now())
        run_jobs("backtest")
    return Backtest.objects.latest("created_at")


def test_it_lists_what_would_appear_vanish_and_stay(client: Client, project: Project) -> None:
    send(project, *looping("short", calls=4))
    send(project, *looping("long", calls=6))
    answer = ask(client, min_repeats=3)
    row = work()
    assert answer["Location"] == row.get_absolute_url()
    assert (row.state, row.examined, row.total, row.there) == (BacktestState.DONE, 2, 2, 2)
    assert (row.appeared, row.vanished, row.unchanged) == (1, 0, 1)
    html = client.get(row.get_absolute_url()).content.decode()
    short = Trace.objects.get(external_trace_id="short")
    assert f"{short.get_absolute_url()}?step=" in html
    assert "search_database gave the same answer 4 times in a row." in html
    assert "Examined 2 of 2 traces" in html
    assert "min_repeats = 3" in html
    assert "every 2s" not in html
    assert "every 2s" in client.get(start(project).get_absolute_url()).content.decode()


def start(project: Project, **thresholds: float) -> Backtest:
    by = make_membership(project).user
    return backtests.start(project, ToolLoop, thresholds or {"min_repeats": 3}, by=by)


def test_what_is_in_force_is_what_it_is_compared_with(client: Client, project: Project) -> None:
    DetectorSettings.objects.create(project=project, detector="ToolLoop", thresholds={"min_repeats": 3})
    send(project, *looping("short", calls=4))
    ask(client, min_repeats=9)
    row = work()
    assert (row.appeared, row.vanished, row.unchanged) == (0, 1, 0)


def test_nothing_is_saved_of_it(client: Client, project: Project) -> None:
    send(project, *looping("short", calls=4))
    run_jobs()
    before = DetectorState.objects.values().get()
    ask(client, min_repeats=3)
    assert work().appeared == 1
    assert [model.objects.count() for model in (Finding, DetectorSettings)] == [0, 0]
    assert DetectorState.objects.values().get() == before
    assert Entry.objects.filter(action="backtest.started").exists()


def test_only_the_newest_traces_of_the_last_days_are_read(client: Client, project: Project) -> None:
    send(make_project(), *looping("foreign", calls=4))
    for name in ("old", "first", "second", "third"):
        send(project, *looping(name, calls=4))
    Trace.objects.filter(external_trace_id="old").update(received_at=Now() - timedelta(days=31))
    with patch.object(backtests, "MOST_TRACES", 2):
        ask(client, min_repeats=3)
        row = work()
    assert (row.examined, row.total, row.there) == (2, 2, 3)
    listed = Difference.objects.values_list("trace__external_trace_id", flat=True)
    assert set(listed) == {"third", "second"}
    assert "the last 30 days have 3" in client.get(row.get_absolute_url()).content.decode()


def test_a_trace_that_is_too_long_is_skipped_and_counted(client: Client, project: Project) -> None:
    send(project, *looping("long", calls=6))
    with patch.object(backtests, "MOST_STEPS", 5):
        ask(client, min_repeats=3)
        row = work()
    assert (row.skipped, row.examined, row.unchanged) == (1, 1, 0)
    assert "1 of more than 20,000 steps was skipped" in client.get(row.get_absolute_url()).content.decode()


def test_it_works_a_little_at_a_time_and_counts_each_trace_once(project: Project) -> None:
    for n in range(3):
        send(project, *looping(f"run {n}", calls=4))
    run_jobs()
    row = start(project)
    with patch.object(backtests, "WORK_S", 0.000001):
        steps = [backtests.go_on(row.pk) is not None for _ in range(4)]
    row.refresh_from_db()
    assert steps.count(True) >= 2
    assert (row.state, row.examined, row.appeared) == (BacktestState.DONE, 3, 3)


def test_it_waits_while_live_traces_wait(project: Project) -> None:
    send(project, *looping("live", calls=4))
    row = start(project)
    DetectJob.objects.update(due_at=Now() - timedelta(seconds=5))
    assert backtests.go_on(row.pk) == backtests.PAUSE
    row.refresh_from_db()
    assert (row.state, row.examined) == (BacktestState.QUEUED, 0)


def test_it_is_cancelled_and_another_may_begin(client: Client, project: Project) -> None:
    send(project, *looping("short", calls=4))
    first = start(project)
    answer = ask(client, min_repeats=4)
    assert answer.status_code == 409
    assert "Another backtest of this project is under way" in answer.content.decode()
    assert client.post(f"{first.get_absolute_url()}/cancel").status_code == 302
    assert backtests.go_on(first.pk) is None
    first.refresh_from_db()
    assert (first.state, first.examined) == (BacktestState.CANCELLED, 0)
    assert ask(client, min_repeats=4).status_code == 302


def test_a_fault_of_a_detector_ends_it_and_is_said(client: Client, project: Project) -> None:
    send(project, *looping("short", calls=4))
    run_jobs()
    row = start(project)
    with patch.object(ToolLoop, "see", side_effect=ValueError("it cannot count")):
        assert backtests.go_on(row.pk) is None
    row.refresh_from_db()
    assert row.state == BacktestState.FAILED
    assert "it cannot count" in client.get(row.get_absolute_url()).content.decode()


def test_wrong_numbers_start_nothing(client: Client) -> None:
    assert ask(client, min_repeats=1).status_code == 422
    assert not Backtest.objects.exists()


def test_its_numbers_go_back_into_the_form(client: Client, project: Project) -> None:
    row = start(project, min_repeats=37)
    assert 'value="37"' in client.get(f"/detectors/ToolLoop?from={row.pk}").content.decode()
    assert client.get(f"/detectors/Budget?from={row.pk}").status_code == 404
    assert client.get("/detectors/ToolLoop?from=nonsense").status_code == 404


def test_it_is_given_up_after_an_hour_and_forgotten_after_a_week(project: Project) -> None:
    row = start(project)
    Backtest.objects.update(created_at=Now() - timedelta(hours=2))
    backtests.forget_old()
    row.refresh_from_db()
    assert (row.state, "within an hour" in row.error) == (BacktestState.FAILED, True)
    Backtest.objects.update(created_at=Now() - timedelta(days=8))
    backtests.forget_old()
    assert not Backtest.objects.exists()
