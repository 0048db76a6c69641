"""`evaluate`: what counts as found, and what stands beside it."""

import gzip
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.core.management import CommandError, call_command

from tests.instance import CHECKOUT
from traces.detectors.base import Detector, Hit, Severity, Step, detector
from traces.detectors.labelled import read_run
from traces.detectors.nonsense import nonsense

Run = dict[str, Any]


@detector(pattern="bad_signature", severity=Severity.LOW)
class Refused(Detector):
    """Accuses each call that asks for what is not there, or says that it is unsure.

    Definition: see above. Input: calls. Misses: much. Source: made for a test.
    """

    level = "call"

    def see(self, step: Step) -> Iterator[Hit]:
        for kind in ("unknown_tool", "provenance"):
            if isinstance(step.arguments, dict) and step.arguments.get("hit") == kind:
                yield Hit(kind, step.ref, step.ref, "It is so.")


@pytest.fixture(autouse=True)
def _one_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("traces.detectors.evaluate.all_detectors", lambda: (Refused,))


def run(name: str, *calls: str | None, labels: tuple[int, ...] = (), **truth: Any) -> Run:
    """A run of calls, each with what the detector says of it; `labels` are the numbers of those that are wrong."""
    steps = [
        {"step_number": i, "event_type": "tool_call", "tool_name": "t", "tool_input": {"hit": hit}, "tool_output": i}
        for i, hit in enumerate(calls, 1)
    ]
    marked = [{"pattern": "bad_signature", "step": step, "basis": "env", "mapping": "direct"} for step in labels]
    known = {"labels": marked, "coverage": {"bad_signature": "full"}, "outcome": "pass"}
    return {"source": "s", "trajectory_id": name, "steps": steps, "truth": known | truth}


def rows(tmp_path: Path, *runs: Run, **options: Any) -> list[dict[str, Any]]:
    path = tmp_path / "runs.jsonl"
    path.write_bytes(b"\n".join(msgspec.json.encode(each) for each in runs))
    out = StringIO()
    call_command("evaluate", path, format="json", stdout=out, **options)
    found: list[dict[str, Any]] = json.loads(out.getvalue())["rows"]
    return found


def one(found: list[dict[str, Any]], **about: Any) -> dict[str, Any]:
    about = {"detector": "ours", "kind": None, "level": "call", "basis": "env"} | about
    (row,) = [row for row in found if all(row[name] == value for name, value in about.items())]
    return row


def counts(row: dict[str, Any]) -> tuple[int, ...]:
    return tuple(row[name] for name in ("n", "positives", "tp", "fp", "fn"))


def test_calls_are_scored_one_by_one_and_runs_as_a_whole(tmp_path: Path) -> None:
    found = rows(
        tmp_path,
        run("r-1", "unknown_tool", None, "unknown_tool", labels=(1, 2)),
        run("r-2", None, "unknown_tool", outcome="pass"),
    )
    assert counts(one(found)) == (5, 2, 1, 2, 1)
    assert counts(one(found, level="trajectory")) == (2, 1, 1, 1, 0)
    assert (one(found)["passed_runs"], one(found)["false_alarms_on_passed"]) == (2, 1)


def test_kinds_that_never_alert_have_a_row_and_are_left_out_of_the_sum(tmp_path: Path) -> None:
    found = rows(tmp_path, run("r-1", "provenance", "unknown_tool", labels=(1, 2)))
    assert counts(one(found)) == (2, 2, 1, 0, 1)
    assert counts(one(found, kind="provenance")) == (2, 2, 1, 0, 1)


def test_where_labels_are_positives_only_nothing_else_is_counted(tmp_path: Path) -> None:
    coverage = {"bad_signature": "positives_only"}
    found = rows(tmp_path, run("r-1", "unknown_tool", "unknown_tool", None, labels=(1,), coverage=coverage))
    assert counts(one(found)) == (1, 1, 1, 0, 0)


def test_where_labels_have_several_bases_a_row_has_them_all(tmp_path: Path) -> None:
    mixed = run("r-1", "unknown_tool", "unknown_tool", "unknown_tool", labels=(1, 2))
    mixed["truth"]["labels"][1]["basis"] = "derived"
    found = rows(tmp_path, mixed)
    assert counts(one(found, basis="env")) == counts(one(found, basis="derived")) == (3, 1, 1, 1, 0)
    assert counts(one(found, basis="any")) == (3, 2, 2, 1, 0)


def test_what_an_agent_says_of_itself_scores_nothing(tmp_path: Path) -> None:
    label = {"pattern": "bad_signature", "step": 1, "basis": "llm_self", "mapping": "direct", "silver": True}
    said = run("r-1", None)
    said["truth"]["labels"] = [label]
    assert counts(one(rows(tmp_path, said), basis="none")) == (1, 0, 0, 0, 0)


def test_counting_rules_stand_beside_and_a_tie_is_said(tmp_path: Path) -> None:
    found = rows(tmp_path, run("r-1", "unknown_tool", None, None, labels=(1,)), run("r-2", None))
    assert one(found, level="trajectory")["remark"] == "no better than call_count from 3 on"
    rival = one(found, level="trajectory", detector="call_count")
    assert (rival["f1"], rival["remark"]) == (1.0, "from 3 on, chosen in hindsight")
    found = rows(tmp_path, run("r-1", "unknown_tool", labels=(1,)), run("r-2", None, None))
    assert one(found, level="trajectory")["remark"] == ""


def test_the_strict_schema_stands_beside_signatures(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"hit": {"type": "string"}}, "required": ["hit"]}
    offered = [{"name": "t", "schema": schema}]
    found = rows(tmp_path, run("r-1", "x", None, labels=(2,)) | {"tools": offered})
    assert counts(one(found, detector="strict_schema")) == (2, 1, 1, 0, 0)
    assert counts(one(found, detector="strict_schema", level="trajectory")) == (1, 1, 1, 0, 0)


def test_a_line_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"line 2: step 1 at /event_type: is required"):
        rows(tmp_path, run("r-1", None), {"trajectory_id": "r-2", "steps": [{"step_number": 1}]})
    with pytest.raises(CommandError, match="No such file"):
        call_command("evaluate", tmp_path / "none.jsonl")


def test_nonsense_changes_names_and_error_texts_alone_and_the_same_to_the_same() -> None:
    sent = {
        "source": "shop",
        "trajectory_id": "r-1",
        "tools": [{"name": "get_order", "schema": {"type": "object"}}],
        "steps": [
            {"event_type": "tool_call", "tool_name": "get_order", "tool_input": {"id": "get"}, "tool_output": "ready"},
            {"event_type": "tool_call", "tool_name": "get", "is_error": True, "tool_output": {"error": "No order 17"}},
            {"event_type": "model_response", "text": "I call get_order for the order."},
        ],
    }
    run = json.loads(nonsense(json.dumps(sent).encode()))
    name = run["tools"][0]["name"]
    first, second, third = run["steps"]
    assert name != "get_order"
    assert first == sent["steps"][0] | {"tool_name": name}
    assert second["tool_name"] == name.partition("_")[0]
    assert second["tool_output"]["error"].endswith(" 17")
    assert "order" not in second["tool_output"]["error"]
    assert third["text"] == f"I call {name} for the order."
    assert run["source"] != "shop"


def test_a_rule_that_knows_a_name_loses_it_in_nonsense(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def see(self: Refused, step: Step) -> Iterator[Hit]:
        if step.tool_name == "t":
            yield Hit("unknown_tool", step.ref, step.ref, "It is so.")

    monkeypatch.setattr(Refused, "see", see)
    row = one(rows(tmp_path, run("r-1", None, labels=(1,)), nonsense=True))
    assert (row["f1"], row["f1_in_nonsense"], row["f1_drop"]) == (1.0, 0.0, 1.0)


def test_a_large_file_is_read_on_all_cores_to_the_same_rows(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl.gz"
    rng, coverage = random.Random(1), {"tool_loop": "full"}
    some = [run(f"r-{i}", *[rng.randbytes(40).hex() for _ in range(30)], coverage=coverage) for i in range(100)]
    path.write_bytes(gzip.compress(b"\n".join(msgspec.json.encode(each) for each in some)))
    done = subprocess.run(
        [sys.executable, "manage.py", "evaluate", str(path)],
        cwd=CHECKOUT,
        env={**os.environ, "AGENTOPS_NO_BOOTSTRAP": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    cells = [line.split("  ") for line in done.stdout.splitlines()]
    assert {(row[5], row[6]) for row in cells if row[1] == "tool_loop"} >= {("ours", "100"), ("run_length", "100")}


def test_actions_caused_by_an_injected_instruction_are_truth_about_drift_too() -> None:
    label = {"pattern": "over_automation", "step": 3, "basis": "env"}
    truth = {"labels": [label], "coverage": {"over_automation": "full"}, "outcome": "fail"}
    injected = {"over_automation": "actions caused by an injected instruction"}
    read = read_run(msgspec.json.encode(run("r", None) | {"truth": truth | {"scope": injected}})).truth
    assert [(label.pattern, label.step) for label in read.labels] == [("over_automation", 3), ("context_drift", 3)]
    assert read.coverage["context_drift"] == "full"
    other = read_run(msgspec.json.encode(run("r", None) | {"truth": truth})).truth
    assert [label.pattern for label in other.labels] == ["over_automation"]
