"""The demo: each failing run is found by its pattern and by no other, and no healthy one."""

import io

import pytest
from django.core.management import CommandError, call_command

from agentops.console.demo_runs import ASKING, FAILING, HEALTHY
from agentops.runtime.models import Run
from tests.builders import make_membership, make_project
from tests.detectors.passing import pass_time
from traces.detectors.fold import detect_trace
from traces.detectors.models import Finding
from traces.detectors.registry import all_detectors
from traces.models import Trace

pytestmark = pytest.mark.django_db


def fill() -> None:
    call_command("demo", stdout=io.StringIO(), stderr=io.StringIO())


def test_each_failing_run_is_found_by_its_pattern_alone_and_no_healthy_one() -> None:
    make_project("default")
    fill()
    patterns = {kind.pattern for kind in all_detectors()}
    assert set(FAILING.values()) == patterns, "a pattern that the demo does not show"
    failing = {(f"demo-{name}", pattern) for name, pattern in FAILING.items()}
    assert judged() < failing, "what is missing is not judged before half a minute has passed"
    pass_time(31)
    assert judged() == failing
    pass_time(601)
    pass_time(31)
    assert judged() == failing, "the run that goes on is closed by the clock"
    assert Trace.objects.count() == len(HEALTHY) + len(FAILING)
    assert not Finding.objects.filter(backfill=True).exists()


def judged() -> set[tuple[str, str]]:
    for trace in Trace.objects.all():
        detect_trace(trace)
    return set(Finding.objects.open().values_list("trace__session__session_id", "pattern"))


def test_the_agent_asks_for_two_refunds_once_however_often_it_is_filled() -> None:
    project = make_project("default", is_sandbox=True)
    owner = make_membership(project).user
    fill()
    fill()
    runs = Run.objects.of(project)
    assert {run.input for run in runs} == set(ASKING.values())
    assert all(run.input.startswith("Demo: ") and run.started_by == owner for run in runs)
    # As a person leaves it: by the ways that the database knows.
    for status in ("running", "cancelled"):
        runs.filter(input=ASKING["broken-pot"]).update(status=status)
    fill()
    assert Run.objects.of(project).count() == 3


def test_where_there_is_no_shop_nobody_asks_for_a_refund() -> None:
    make_project("default")
    fill()
    assert not Run.objects.exists()


def test_demo_data_says_that_it_is_demo_data() -> None:
    make_project("default")
    fill()
    assert set(Trace.objects.values_list("environment", flat=True)) == {"demo"}
    assert all(name.startswith("Demo: ") for name in Trace.objects.values_list("name", flat=True))


def test_an_unknown_project_is_named() -> None:
    with pytest.raises(CommandError, match="no project default"):
        fill()
