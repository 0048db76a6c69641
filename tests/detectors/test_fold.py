"""Folding: the same steps in any order, split or repetition leave the same findings."""

import gzip
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from agentops.accounts.models import Project
from tests.builders import make_project
from tests.traces.builders import send, step
from traces.detectors.fold import detect_trace
from traces.detectors.models import AlertJob, DetectorSettings, DetectorState, Finding
from traces.models import Trace

pytestmark = pytest.mark.django_db

# Of each of 10 made and 10 real runs; `make crash` tries more.
PERMUTATIONS = int(os.environ.get("PERMUTATIONS", "3"))


@pytest.fixture
def project() -> Project:
    return make_project()


def detect(project: Project) -> None:
    for trace in Trace.objects.of(project):
        detect_trace(trace)


def looping(n: int, trace: str = "t-1", **fields: Any) -> list[dict[str, Any]]:
    return [step(i, trace, tool_input={"q": "x"}, tool_output="none", **fields) for i in range(1, n + 1)]


def found(project: Project) -> set[tuple[Any, ...]]:
    return set(
        Finding.objects.of(project)
        .open()
        .values_list("trace__external_trace_id", "kind", "onset_number", "last_number", "explanation")
    )


def test_a_loop_becomes_one_finding_with_its_times(project: Project) -> None:
    send(project, *looping(5))
    detect(project)
    finding = Finding.objects.get()
    assert (finding.pattern, finding.kind, finding.onset_number, finding.last_number) == (
        "tool_loop",
        "repeated_call",
        1,
        5,
    )
    assert len(finding.evidence) == 5
    assert finding.onset_at.isoformat() == "2026-03-16T12:00:00+00:00"
    assert finding.onset_at < finding.received_at <= finding.detected_at
    assert AlertJob.objects.get().finding == finding


def test_a_loop_that_goes_on_grows_its_finding(project: Project) -> None:
    for end in (3, 5, 7):
        send(project, *looping(end))
        detect(project)
    assert found(project) == {("t-1", "repeated_call", 1, 7, "search_database gave the same answer 7 times in a row.")}


def test_a_trace_whose_states_were_forgotten_is_read_anew_when_it_goes_on(project: Project) -> None:
    send(project, *looping(3))
    detect(project)
    DetectorState.objects.update(states=b"")
    send(project, *looping(5))
    detect(project)
    assert found(project) == {("t-1", "repeated_call", 1, 5, "search_database gave the same answer 5 times in a row.")}
    assert Finding.objects.count() == AlertJob.objects.count() == 1


def test_only_new_steps_are_read(project: Project, django_assert_num_queries: Any) -> None:
    send(project, *looping(5))
    detect(project)
    send(project, step(6, tool_output="else"))
    trace = Trace.objects.get()
    with django_assert_num_queries(5):
        detect_trace(trace)
    assert DetectorState.objects.get().arrivals == 6
    with django_assert_num_queries(4):
        detect_trace(trace)


def test_a_late_step_that_breaks_the_loop_retracts_the_finding(project: Project) -> None:
    send(project, *(looping(9)[i] for i in (0, 2, 4, 6, 8)))
    detect(project)
    assert len(found(project)) == 1
    send(project, *(step(i, tool_output=f"news {i}") for i in (2, 4)))
    detect(project)
    assert found(project) == set()
    assert Finding.objects.get().state == "retracted"


def test_a_result_that_is_filled_in_later_is_looked_at_again(project: Project) -> None:
    send(project, *(step(i, tool_input={"q": "x"}) for i in range(1, 6)))
    detect(project)
    assert len(found(project)) == 1
    send(project, *(step(i, tool_input={"q": "x"}, tool_output=f"page {i}") for i in range(1, 6)))
    detect(project)
    assert found(project) == set()


def test_thresholds_of_a_project_replay_its_open_traces(project: Project) -> None:
    send(project, *looping(5))
    detect(project)
    settings = DetectorSettings.objects.create(project=project, detector="ToolLoop", thresholds={"min_repeats": 6})
    detect(project)
    assert found(project) == set()
    settings.delete()
    detect(project)
    assert len(found(project)) == 1
    DetectorSettings.objects.create(project=project, detector="ToolLoop", enabled=False)
    send(project, *looping(9))
    detect(project)
    assert len(found(project)) == 1


def test_the_tools_that_were_offered_give_their_risk_to_later_batches_too(project: Project) -> None:
    tools = [{"name": "search_database", "risk": "high"}]
    send(project, step(1, tool_input={"q": "x"}, tool_output="done", tools=tools))
    detect(project)
    send(project, step(2, tool_input={"q": "x"}, tool_output="done"))
    detect(project)
    assert {kind for _, kind, *_ in found(project)} == {"repeated_change", "ungated", "unfounded"}


def test_backfill_is_marked_on_its_findings(project: Project) -> None:
    send(project, *looping(5), backfill=True)
    detect(project)
    assert Finding.objects.get().backfill is True


def a_run(seed: int) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    steps = []
    for i in range(1, 31):
        event = rng.choices(["tool_call", "human_gate", "model_response"], [8, 1, 2])[0]
        steps.append(
            step(
                i,
                event_type=event,
                tool_name=rng.choice(["a", "b"]) if event == "tool_call" else None,
                tool_input={"q": rng.choice("xy")},
                tool_output=rng.choice(["none", "none", "some"]),
                is_error=rng.random() < 0.1,
            )
        )
    return steps


def check_any_order(steps: list[dict[str, Any]], rng: random.Random, times: int) -> None:
    expected_in = make_project()
    send(expected_in, *steps)
    detect(expected_in)
    expected = found(expected_in)
    for _ in range(times):
        project = make_project()
        shuffled = rng.sample(steps, len(steps)) + rng.choices(steps, k=len(steps) // 4)
        while shuffled:
            size = rng.randint(1, 20)
            send(project, *shuffled[:size])
            shuffled = shuffled[size:]
            if rng.random() < 0.7:
                detect(project)
        detect(project)
        assert found(project) == expected


@pytest.mark.parametrize("seed", range(10))
def test_any_order_split_and_repetition_gives_the_same_findings(seed: int) -> None:
    check_any_order(a_run(seed), random.Random(seed), times=PERMUTATIONS)


@pytest.mark.data
def test_any_order_of_real_runs_gives_the_same_findings(lent_data: Path) -> None:
    lines = gzip.decompress((lent_data / "trajectories" / "workbench.jsonl.gz").read_bytes()).splitlines()
    rng = random.Random(20260316)
    runs = [json.loads(line) for line in rng.sample(lines, 400)]
    looping_runs = [run for run in runs if len(run["steps"]) > 8][:10]
    for run in looping_runs:
        steps = [
            {name: value for name, value in one.items() if value is not None}
            | {"trace_id": run["trajectory_id"], "timestamp": "2026-03-16T12:00:00Z"}
            for one in run["steps"]
        ]
        check_any_order(steps, rng, times=PERMUTATIONS)
