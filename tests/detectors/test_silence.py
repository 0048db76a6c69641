"""What the absence of steps means: said when its time has come, taken back when steps come after all."""

import random
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from django.db.models.functions import Now

from agentops.accounts.models import Project
from agentops.jobs.runner import run_by_id
from tests.builders import make_project
from tests.detectors.passing import pass_time
from tests.detectors.steps import make_step
from tests.traces.builders import send, step
from traces.detectors.base import NOWHERE, Detector, Frozen, Hit, Moment, Mutable, Severity, Step, StepRef, detector
from traces.detectors.fold import detect_trace
from traces.detectors.labelled import end_of
from traces.detectors.models import Finding
from traces.models import DetectJob, Trace

pytestmark = pytest.mark.django_db


@detector(pattern="observability_gap", severity=Severity.LOW)
class Listener(Detector):
    """Says that a run has no steps, and that a call has no result once nothing more is waited for.

    Definition: no step, or a call without a result. Input: all. Misses: much. Source: made for a test.
    """

    class Thresholds(Frozen):
        pass

    class State(Mutable):
        open_calls: list[StepRef] = []
        steps: int = 0

    asked: ClassVar[list[Moment]] = []

    def see(self, step: Step) -> Iterator[Hit]:
        self.state.steps += 1
        if step.event_type == "tool_call" and step.result_hash is None:
            self.state.open_calls = [*self.state.open_calls, step.ref]
        yield from ()

    def silent(self, now: Moment) -> Iterator[Hit]:
        self.asked.append(now)
        if not now.is_settled:
            return
        if not self.state.steps:
            yield Hit("empty", NOWHERE, NOWHERE, "The run has no steps.", due_s=now.settles_s)
        for ref in self.state.open_calls:
            yield Hit("no_result", ref, ref, "A call has no result.", evidence=(ref.span_id,), due_s=now.settles_s)

    def coverage(self) -> Iterable[str]:
        return ["what no step told"]


@pytest.fixture(autouse=True)
def _listening(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("traces.detectors.fold.all_detectors", lambda: (Listener,))
    monkeypatch.setattr(Listener, "asked", [])


@pytest.fixture
def project() -> Project:
    return make_project()


def detect() -> timedelta | None:
    return detect_trace(Trace.objects.get())


def open_findings() -> set[tuple[str, int]]:
    return set(Finding.objects.open().values_list("kind", "onset_number"))


def test_an_open_trace_is_looked_at_again_when_it_will_have_settled(project: Project) -> None:
    send(project, step(1))
    again = detect()
    assert again is not None
    assert 625 < again.total_seconds() <= 640
    assert open_findings() == set()


def test_a_closed_trace_is_judged_half_a_minute_later_and_then_let_be(project: Project) -> None:
    send(project, step(1, trace_status="ok"))
    again = detect()
    assert again is not None
    assert 25 < again.total_seconds() <= 30
    pass_time(31)
    assert detect() is None
    assert open_findings() == {("no_result", 1)}
    finding = Finding.objects.get()
    assert finding.onset_at.isoformat() == "2026-03-16T12:00:00+00:00"
    closed_at = Trace.objects.get().closed_at
    assert closed_at is not None
    assert abs(finding.received_at - closed_at - timedelta(seconds=30)) < timedelta(milliseconds=1)


def test_a_result_that_comes_late_takes_the_finding_back(project: Project) -> None:
    send(project, step(1, trace_status="ok"))
    pass_time(31)
    detect()
    send(project, step(1, tool_output="done"))
    detect()
    assert open_findings() == set()
    assert Finding.objects.get().state == "retracted"


def test_a_run_without_steps_is_found_and_taken_back_when_steps_come(project: Project) -> None:
    send(project, {"trace_id": "t-1", "trace_status": "ok"})
    assert detect() is not None
    pass_time(31)
    detect()
    assert open_findings() == {("empty", 0)}
    assert Finding.objects.get().onset_span_id == ""
    send(project, step(1, tool_output="done"))
    pass_time(31)
    detect()
    assert open_findings() == set()


def test_the_job_stays_until_silence_has_been_judged(project: Project) -> None:
    send(project, step(1, trace_status="ok"))
    (job,) = DetectJob.objects.all()
    run_by_id(job.kind, job.pk)
    assert DetectJob.objects.filter(pk=job.pk, due_at__gt=Now()).exists()
    pass_time(31)
    DetectJob.objects.update(due_at=Now())
    run_by_id(job.kind, job.pk)
    assert not DetectJob.objects.exists()
    assert open_findings() == {("no_result", 1)}


def test_any_order_ends_in_the_same_findings(project: Project) -> None:
    rng = random.Random(20260316)
    steps: list[dict[str, Any]] = [step(i, tool_output=rng.choice([None, "done"])) for i in range(1, 21)]
    expected = {("no_result", each["step_number"]) for each in steps if each["tool_output"] is None}
    for _ in range(3):
        shuffled = rng.sample(steps, len(steps))
        while shuffled:
            send(project, *shuffled[:7], {"trace_id": "t-1", "trace_status": "ok"})
            shuffled = shuffled[7:]
            pass_time(rng.choice([0, 31]))
            detect()
        pass_time(31)
        detect()
        assert open_findings() == expected
        Trace.objects.all().delete()


def test_silence_in_a_file_is_judged_at_its_end() -> None:
    steps = [make_step(1), make_step(2, result=None)]
    moment = end_of(steps)
    assert (moment.is_settled, moment.is_live, moment.status) == (True, False, "ok")
    one = Listener()
    assert not [hit for each in steps for hit in one.see(each)]
    assert [hit.kind for hit in one.silent(moment)] == ["no_result"]
