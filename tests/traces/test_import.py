"""`import`: runs and steps from files come in by the ingest path, twice without a double."""

import gzip
import io
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from agentops.accounts.models import Project
from tests.builders import make_project
from tests.traces.builders import step
from tests.traces.otlp import AGENT, CHAT, METRICS, TOOL, child, log, logs, protobuf, request, span
from traces.models import IngestBatch, Span, Toolset, Trace

pytestmark = pytest.mark.django_db
# Of the runs of each lent file, one in so many is imported, and of these one in so many twice; `make crash` takes all.
EVERY = int(os.environ.get("IMPORT_EVERY", "4"))
AGAIN_EVERY = int(os.environ.get("IMPORT_AGAIN_EVERY", "10"))

RUN = {
    "source": "demo",
    "trajectory_id": "desk/1",
    "tools": [
        {"name": "search", "schema": {"type": "object"}, "risk": "read"},
        {"name": "refund", "schema": {"type": "object"}, "risk": "high", "available_from_step": 3},
    ],
    "steps": [
        {"step_number": 1, "event_type": "human_gate", "agent": "user", "text": "Hello", "gate": "user_turn"},
        {"step_number": 2, "event_type": "tool_call", "agent": "desk", "tool_name": "search", "tool_input": {"q": "x"}},
        {
            "step_number": 3,
            "event_type": "model_response",
            "agent": "desk",
            "text": "Done",
            "tokens": {"in": 9, "out": 2},
        },
    ],
    "truth": {"labels": [{"pattern": "tool_loop"}], "outcome": "fail"},
}


@pytest.fixture
def project() -> Project:
    return make_project("default")


def run_import(*paths: Path, **options: Any) -> str:
    out = io.StringIO()
    call_command("import", *paths, stdout=out, stderr=io.StringIO(), **options)
    return out.getvalue().splitlines()[-1]


def written(path: Path, *items: Any) -> Path:
    lines = "\n".join(item if isinstance(item, str) else json.dumps(item) for item in items).encode()
    path.write_bytes(gzip.compress(lines) if path.suffix == ".gz" else lines)
    return path


def test_a_run_becomes_a_closed_trace_marked_as_backfill(project: Project, tmp_path: Path) -> None:
    assert run_import(written(tmp_path / "runs.jsonl.gz", RUN)) == "accepted 3 duplicate 0 rejected 0"
    trace = Trace.objects.get()
    assert (trace.external_trace_id, trace.status, trace.agent, trace.preview) == ("desk/1", "ok", "desk", "Hello")
    assert (trace.backfill, trace.shape, trace.input_tokens, trace.output_tokens) == (True, "ctm", 9, 2)
    assert set(Span.objects.values_list("synthetic_time", flat=True)) == {True}
    assert sorted(len(toolset.tools) for toolset in Toolset.objects.all()) == [1, 2]
    assert "truth" not in str(list(Span.objects.values()))


def test_a_file_read_twice_leaves_no_double(project: Project, tmp_path: Path) -> None:
    path = written(tmp_path / "runs.jsonl", RUN, {**RUN, "trajectory_id": "desk/2", "steps": []})
    run_import(path)
    assert run_import(path) == "accepted 0 duplicate 3 rejected 0"
    assert (Trace.objects.count(), Span.objects.count()) == (2, 3)
    assert not Span.objects.filter(revised=True).exists()


def test_native_steps_are_read_too_and_wrong_lines_are_rejected_alone(project: Project, tmp_path: Path) -> None:
    path = written(tmp_path / "steps.jsonl", step(1), "{broken", step(2), {**step(3), "event_type": "x"})
    assert run_import(path, notify=True) == "accepted 2 duplicate 0 rejected 2"
    assert Trace.objects.get().backfill is False


def test_a_wrong_step_of_a_run_is_rejected_alone(project: Project, tmp_path: Path) -> None:
    steps = [*RUN["steps"], {"step_number": 4}, 7]  # type: ignore[misc]
    path = written(tmp_path / "runs.jsonl", {**RUN, "steps": steps}, "[1", {"trajectory_id": 3, "steps": []})
    assert run_import(path) == "accepted 3 duplicate 0 rejected 4"
    batch = IngestBatch.objects.get()
    assert (batch.received, batch.accepted, batch.rejected_count) == (7, 3, 4)


def test_a_step_without_a_number_has_that_of_its_place(project: Project, tmp_path: Path) -> None:
    steps = [{"event_type": "tool_call", "tool_name": name} for name in ("a", "b")]
    run = {"trajectory_id": "unnumbered", "steps": [steps[0], {"event_type": "x"}, steps[1], {"trace_status": "ok"}]}
    assert run_import(written(tmp_path / "runs.jsonl", run)) == "accepted 2 duplicate 0 rejected 2"
    assert list(Span.objects.order_by("step_number").values_list("step_number", "tool_name")) == [(1, "a"), (3, "b")]


def test_nuls_and_lone_surrogates_in_a_run_are_repaired(project: Project, tmp_path: Path) -> None:
    steps = [
        {"step_number": 1, "event_type": "error", "text": "a\0b"},
        {"step_number": 2, "event_type": "error", "error": "\ud800"},
    ]
    run = {"trajectory_id": "x\0", "tools": [{"name": "t\0"}], "steps": steps}
    assert run_import(written(tmp_path / "runs.jsonl", run)) == "accepted 2 duplicate 0 rejected 0"
    assert IngestBatch.objects.get().repaired == 2
    assert (Span.objects.get(step_number=1).text, Trace.objects.get().external_trace_id) == ("a\ufffdb", "x\ufffd")


LINES = [request(span(1, AGENT), child(2, CHAT)), logs(log(3), log(4, traceId="")), METRICS, request(child(5, TOOL))]


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_file_of_the_collector_holds_a_request_a_line(project: Project, tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path / f"out.json{suffix}", *LINES, "{broken", {"resourceSpans": 3}, "{}")
    assert run_import(path) == "accepted 11 duplicate 0 rejected 3"
    trace = Trace.objects.get()
    assert (trace.steps, trace.spans, trace.agent, trace.backfill, trace.source) == (2, 4, "forecaster", True, "import")
    batch = IngestBatch.objects.get()
    assert (batch.ignored, batch.rejected[1]["index"]) == (7, 12)
    assert run_import(path) == "accepted 7 duplicate 4 rejected 3"
    assert (Trace.objects.count(), Span.objects.count()) == (1, 4)


@pytest.mark.parametrize("sent", LINES[:3], ids=["traces", "logs", "metrics"])
@pytest.mark.parametrize("suffix", [".pb", ".pb.gz", ".json", ".json.gz", ".jsonl"])
def test_a_file_may_be_one_request_whatever_its_signal(
    project: Project, tmp_path: Path, sent: dict[str, Any], suffix: str
) -> None:
    body = protobuf(sent) if ".pb" in suffix else json.dumps(sent, indent=None if "jsonl" in suffix else 2).encode()
    path = tmp_path / f"one{suffix}"
    path.write_bytes(gzip.compress(body) if suffix.endswith(".gz") else body)
    n = {0: 2, 1: 2, 2: 6}[LINES.index(sent)]
    assert run_import(path, notify=True) == f"accepted {n} duplicate 0 rejected 0"
    assert not Trace.objects.filter(backfill=True).exists()
    assert IngestBatch.objects.get().received == n


@pytest.mark.parametrize("name", ["other.pb", "other.pb.gz", "other.json", "other.json.gz"])
@pytest.mark.parametrize("content", [b"no request", b'{"resourceSpans": [7', b"[\n]", b"\xff\xff"], ids=str)
def test_a_file_that_is_no_request_is_refused_in_one_sentence(
    project: Project, tmp_path: Path, name: str, content: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    with pytest.raises(CommandError, match=rf"{re.escape(name)} [^.]+\.$"):
        run_import(path)
    assert not IngestBatch.objects.exists()


def test_a_packed_file_that_was_cut_off_is_named(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "cut.pb.gz"
    path.write_bytes(gzip.compress(protobuf(LINES[0]))[:-9])
    with pytest.raises(CommandError, match=r"cut\.pb\.gz cannot be unpacked"):
        run_import(path)


@pytest.mark.data
def test_requests_as_clients_sent_them_are_read_from_their_files(project: Project, lent_data: Path) -> None:
    files = sorted((lent_data / "otlp").glob("*.pb"))
    before = run_import(*files)
    assert re.fullmatch(r"accepted \d+ duplicate 0 rejected 0", before)
    run_import(*files)
    assert Trace.objects.get(agent="claude-code").steps == 5
    assert sum(Trace.objects.values_list("spans", flat=True)) == Span.objects.count()


@pytest.mark.parametrize("content", [b"no json", b"{}", b"[]", b"\x1f\x8bbroken"], ids=str)
def test_a_file_of_something_else_is_refused_in_one_sentence(project: Project, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.jsonl"
    path.write_bytes(content)
    with pytest.raises(CommandError, match=r"other\.jsonl"):
        run_import(path)


@pytest.mark.parametrize(
    ("name", "said"), [("gone.jsonl", "no such file"), ("gone.pb", "no such file"), ("", "is a dir")]
)
def test_what_cannot_be_read_is_named_in_one_sentence(project: Project, tmp_path: Path, name: str, said: str) -> None:
    path = tmp_path / name
    with pytest.raises(CommandError, match=rf"^{re.escape(str(path))} cannot be read: {said}[^\[]+\.$"):
        run_import(path)


def test_an_unknown_project_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no project nowhere"):
        run_import(written(tmp_path / "a.jsonl", RUN), project="nowhere")


@pytest.mark.data
def test_lent_runs_are_imported_without_a_rejected_step(project: Project, lent_data: Path, tmp_path: Path) -> None:
    lent = sorted((lent_data / "trajectories").glob("*.jsonl.gz"))
    assert len(lent) == 10
    runs, files = [], []
    for path in lent:
        lines = gzip.decompress(path.read_bytes()).splitlines()[::EVERY]
        runs += [json.loads(line) for line in lines]
        files.append(written(tmp_path / path.name, *(line.decode() for line in lines)) if EVERY > 1 else path)
    steps = sum(len(run["steps"]) for run in runs)
    assert run_import(*files) == f"accepted {steps} duplicate 0 rejected 0"
    assert (Trace.objects.count(), Span.objects.count()) == (len(runs), steps)
    again = runs[::AGAIN_EVERY]
    repeated = sum(len(run["steps"]) for run in again)
    assert run_import(written(tmp_path / "again.jsonl", *again)) == f"accepted 0 duplicate {repeated} rejected 0"
    assert (Trace.objects.count(), Span.objects.count()) == (len(runs), steps)
    assert sum(Trace.objects.values_list("steps", flat=True)) == steps
