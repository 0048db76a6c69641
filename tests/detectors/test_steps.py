"""The steps that detectors see: toolsets by agent, bodies for those who need them, the same from files and rows."""

import gzip
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.builders import make_project
from tests.traces.builders import send, step
from traces.detectors.base import NEEDS, RESULT_CHARS, Step
from traces.detectors.labelled import read_steps
from traces.detectors.steps import StoredReader, result_text
from traces.detectors.stored import load
from traces.detectors.toolset import Offers
from traces.ingest.record import Batch, Origin
from traces.ingest.store import store
from traces.ingest.trajectory import add_trajectory
from traces.models import IngestBatch, Trace

pytestmark = pytest.mark.django_db


def stored_steps(trace: Trace, needs: frozenset[str] = NEEDS) -> list[Step]:
    reader = StoredReader(trace=trace, offers=Offers(), needs=needs)
    return [one for _, one in reader.read(load(trace, needs))]


def seen(*steps: dict[str, Any], needs: frozenset[str] = NEEDS) -> list[Step]:
    send(make_project(), *steps)
    return stored_steps(Trace.objects.get(), needs)


def tools(*names: str) -> list[dict[str, Any]]:
    return [{"name": name, "schema": {"type": "object"}} for name in names]


def names(one: Step) -> set[str] | None:
    return set(one.toolset.tools) if one.toolset else None


def test_what_a_step_offers_is_in_force_from_it_on() -> None:
    first, second, third = seen(
        step(1), step(2, tools=tools("a", "b"), tool_name="b"), step(3, tool_name="c", tools=None)
    )
    assert (first.toolset, first.tool) == (None, None)
    assert second.tool is not None
    assert second.tool.schema == {"type": "object"}
    assert (names(third), third.tool) == ({"a", "b"}, None)


def test_what_a_model_is_offered_is_its_own_agents() -> None:
    def model(number: int, agent: str, *offered: str) -> dict[str, Any]:
        return step(number, event_type="model_response", tool_name=None, agent=agent, tools=tools(*offered))

    steps = seen(
        model(1, "desk", "ask", "hand_over"),
        step(2, agent="helper"),
        model(3, "payments", "refund"),
        step(4, agent="desk"),
        step(5, agent="payments"),
        step(6, agent="somebody"),
        step(7),
        step(8, event_type="human_gate", tool_name=None, tools=tools("new")),
        step(9, agent="desk"),
    )
    found = {one.number: names(one) for one in steps}
    assert found[2] == {"ask", "hand_over"}  # nobody else is known to have other tools
    assert found[4] == {"ask", "hand_over"}
    assert found[5] == {"refund"}
    assert found[6] is None
    assert found[7] == {"ask", "hand_over", "refund"}
    assert found[9] == {"new"}


def test_of_two_tools_with_one_name_and_two_schemas_no_schema_is_known() -> None:
    one, other = {"name": "a", "schema": {"type": "object"}}, {"name": "a", "schema": {"required": ["x"]}}
    steps = seen(
        step(1, event_type="model_response", tool_name=None, agent="desk", tools=[one]),
        step(2, event_type="model_response", tool_name=None, agent="payments", tools=[other]),
        step(3, tool_name="a"),
    )
    assert steps[2].tool is not None
    assert steps[2].tool.schema is None


def test_bodies_come_for_detectors_that_need_them_only() -> None:
    sent = step(1, tool_output="x" * 50_000, text="said", metadata={"truncated": True})
    (bare,) = seen(sent, needs=frozenset())
    assert (bare.result, bare.text, bare.is_truncated) == (None, None, False)
    (whole,) = stored_steps(Trace.objects.get())
    assert (whole.text, whole.is_truncated) == ("said", True)
    assert whole.result == "x" * (RESULT_CHARS - 1)


@pytest.mark.parametrize(
    ("stored", "text"),
    [
        (None, None),
        ('{"a":1}', '{"a":1}'),
        ('"two\\nlines"', "two\nlines"),
        ('"' + "x" * (RESULT_CHARS - 2) + '\\n and more"', "x" * (RESULT_CHARS - 2)),
        ('"' + "x" * (RESULT_CHARS - 4) + '\\u0001 and more"', "x" * (RESULT_CHARS - 4)),
    ],
)
def test_the_start_of_a_result_is_read_even_where_an_escape_is_cut(stored: str | None, text: str | None) -> None:
    assert result_text(stored) == text


def imported(line: bytes) -> Trace:
    batch = Batch()
    add_trajectory(batch, line, now=datetime.now(UTC))
    project = make_project()
    store(project, batch, Origin(source="import", backfill=True))
    return Trace.objects.of(project).get()


def without_times(steps: list[Step]) -> list[Step]:
    return [msgspec.structs.replace(one, at_s=0.0, ended_at_s=None) for one in steps]


def test_a_run_of_a_file_has_the_steps_that_it_has_after_an_import() -> None:
    run = {
        "trajectory_id": "r-1",
        "tools": [
            {"name": "a", "schema": {"type": "object"}, "risk": "high"},
            {"name": "b", "available_from_step": 3},
        ],
        "steps": [
            {"step_number": 1, "event_type": "human_gate", "text": "Please", "gate": "user_turn"},
            {"step_number": 2, "event_type": "tool_call", "tool_name": "b", "tool_input": {"x": 1}, "truncated": True},
            {"step_number": 3, "event_type": "tool_call", "tool_name": "b", "tool_output": {"error": "No"}},
            {"step_number": 4, "event_type": "error", "error": "Order 17 is gone", "tokens": {"in": 3, "out": 4}},
        ],
    }
    line = msgspec.json.encode(run)
    steps = read_steps(line, NEEDS)
    assert [one.number for one in steps] == [1, 2, 3, 4]
    assert [names(one) for one in steps] == [{"a"}, {"a"}, {"a", "b"}, {"a", "b"}]
    assert steps[1].is_truncated
    assert steps[3].tokens == 7
    assert without_times(steps) == without_times(stored_steps(imported(line)))


@pytest.mark.data
def test_real_runs_have_the_steps_that_they_have_after_an_import(lent_data: Path) -> None:
    rng = random.Random(20260316)
    compared = 0
    for name in ("agentdojo", "bfcl_mt"):
        lines = gzip.decompress((lent_data / "trajectories" / f"{name}.jsonl.gz").read_bytes()).splitlines()
        for line in rng.sample(lines, 8):
            trace = imported(line)
            if not IngestBatch.objects.of(trace.project_id).get().redacted:  # a file's secrets are no trace's
                assert without_times(read_steps(line, NEEDS)) == without_times(stored_steps(trace))
                compared += 1
    assert compared >= 8
