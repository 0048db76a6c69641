"""Detectors against labelled runs, beside the textbook rules; no database, and detectors never see the truth."""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import msgspec

from traces.detectors.base import ALONE, Detector, Step
from traces.detectors.registry import all_detectors
from traces.detectors.steps import normalise_error
from traces.ids import span_key, trace_key
from traces.ingest import preview
from traces.ingest.record import content_hash
from traces.ingest.step import arguments_hash
from traces.ingest.trajectory import TrajectoryStepIn, TrajectoryToolIn

CALLS_OF_ONE_TOOL = 5
Z = 1.96  # of a 95 % interval


class Label(msgspec.Struct):
    pattern: str
    basis: str
    step: int | None = None
    silver: bool | None = None


class Truth(msgspec.Struct):
    labels: list[Label] = []
    coverage: dict[str, str] = {}
    outcome: str | None = None


class LabelledRun(msgspec.Struct):
    trajectory_id: str
    steps: list[TrajectoryStepIn]
    tools: list[TrajectoryToolIn] = []
    source: str = ""
    truth: Truth = msgspec.field(default_factory=Truth)


Verdict = dict[str, set[str]]  # pattern → kinds that were found in one run
decode_run = msgspec.json.Decoder(LabelledRun).decode


def steps_of(run: LabelledRun) -> Iterator[Step]:
    """Yield the run's steps as a detector would see them after ingest."""
    trace, _ = trace_key(run.trajectory_id)
    risks = {tool.name: tool.risk for tool in run.tools if tool.risk}
    for place, sent in enumerate(run.steps):
        number = place + 1 if sent.step_number is None else sent.step_number
        output = None if sent.tool_output is None else msgspec.json.encode(sent.tool_output)
        shown = preview.of_result(sent.tool_output) or preview.of_text(sent.text or sent.error)
        failed = bool(sent.is_error) or sent.event_type == "error"
        yield Step(
            span_id=span_key(trace, number),
            number=number,
            event_type=sent.event_type or "",
            at_s=float(place) if sent.t_rel_s is None else sent.t_rel_s,
            is_timed=sent.t_rel_s is not None,
            tool_name=sent.tool_name,
            agent=sent.agent,
            arguments=sent.tool_input,
            arguments_hash=None if sent.tool_input is None else arguments_hash(sent.tool_input),
            result_hash=None if output is None else content_hash(output),
            result_size=None if output is None else len(output.decode()),
            result_preview=shown,
            is_error=failed,
            error=normalise_error(sent.error or shown or "") if failed else None,
            risk=risks.get(sent.tool_name or "", "unknown"),
            gate=(sent.decision or sent.gate or "user_turn") if sent.event_type == "human_gate" else None,
            text=sent.text,
        )


def ours(steps: list[Step]) -> Verdict:
    """Return what our detectors find in a run, by pattern."""
    found: Verdict = {}
    for kind in all_detectors():
        one: Detector = kind()
        for step in steps:
            for hit in one.see(step):
                found.setdefault(one.pattern, set()).add(hit.kind)
    return found


def circuit_breaker(steps: list[Step]) -> Verdict:
    """The textbook rule: five or more calls of one tool in a run."""
    calls = Counter(step.tool_name for step in steps if step.event_type == "tool_call")
    return {"tool_loop": {"calls"}} if any(n >= CALLS_OF_ONE_TOOL for n in calls.values()) else {}


def idempotency_guard(steps: list[Step]) -> Verdict:
    """The textbook rule: the identical call twice in a row."""
    calls = [(step.tool_name, step.arguments_hash) for step in steps if step.event_type == "tool_call"]
    return {"tool_loop": {"twice"}} if any(a == b for a, b in pairwise(calls)) else {}


RULES: dict[str, Callable[[list[Step]], Verdict]] = {
    "ours": ours,
    "circuit_breaker": circuit_breaker,
    "idempotency_guard": idempotency_guard,
}


class Score(msgspec.Struct):
    """The counts of one row of the table."""

    n: int = 0
    positives: int = 0
    tp: int = 0
    fp: int = 0
    passed_runs: int = 0
    false_alarms_on_passed: int = 0

    def count(self, *, is_positive: bool, is_hit: bool) -> None:
        self.n += 1
        self.positives += is_positive
        self.tp += is_positive and is_hit
        self.fp += is_hit and not is_positive


def evaluate(runs: list[LabelledRun]) -> list[dict[str, Any]]:
    """Return the rows of the contract for the runs of one file."""
    patterns = sorted({kind.pattern for kind in all_detectors()})
    rows: list[dict[str, Any]] = []
    stepped = [(run, list(steps_of(run))) for run in runs]
    for name, rule in RULES.items():
        started = time.perf_counter()
        verdicts = [(run, rule(steps)) for run, steps in stepped]
        took_s = max(time.perf_counter() - started, 1e-9)
        speed = sum(len(steps) for _, steps in stepped) / took_s
        for pattern in patterns:
            if name == "ours" or pattern == "tool_loop":
                rows += _rows(name, pattern, verdicts, speed)
    return rows


def _rows(name: str, pattern: str, verdicts: list[tuple[LabelledRun, Verdict]], speed: float) -> list[dict[str, Any]]:
    kinds = sorted({kind for _, verdict in verdicts for kind in verdict.get(pattern, ())})
    bases = sorted({label.basis for run, _ in verdicts for label in _labels(run, pattern)}) or ["none"]
    rows = []
    for basis in bases:
        for kind in [None, *(kinds if name == "ours" else [])]:
            score = _score(pattern, basis, kind, verdicts)
            about = {"source": verdicts[0][0].source, "pattern": pattern, "kind": kind, "level": "trajectory"}
            rows.append({**about, "basis": basis, "detector": name, **_figures(score), "steps_per_s": round(speed)})
    return rows


def _score(pattern: str, basis: str, kind: str | None, verdicts: list[tuple[LabelledRun, Verdict]]) -> Score:
    score = Score()
    for run, verdict in verdicts:
        kinds = verdict.get(pattern, set())
        is_hit = kind in kinds if kind else bool(kinds - ALONE)
        by_basis = {label.basis for label in _labels(run, pattern)}
        is_positive = basis in by_basis
        # A run that another basis calls positive is no negative here.
        if is_positive or (run.truth.coverage.get(pattern) == "full" and not by_basis):
            score.count(is_positive=is_positive, is_hit=is_hit)
        if run.truth.outcome == "pass":
            score.passed_runs += 1
            score.false_alarms_on_passed += is_hit and not is_positive
    return score


def _labels(run: LabelledRun, pattern: str) -> list[Label]:
    """Return the labels worth scoring with: what an agent said of itself is none."""
    return [label for label in run.truth.labels if label.pattern == pattern and not label.silver]


def _figures(score: Score) -> dict[str, Any]:
    """Return the counts with what follows from them; a ratio without a denominator is null."""
    fn = score.positives - score.tp
    precision = _ratio(score.tp, score.tp + score.fp)
    recall = _ratio(score.tp, score.positives)
    f1 = _ratio(2 * score.tp, 2 * score.tp + score.fp + fn)
    low, high = wilson(score.tp, score.positives)
    return {
        **msgspec.to_builtins(score),
        "fn": fn,
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "ci_low": low,
        "ci_high": high,
    }


def _ratio(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def wilson(hits: int, n: int) -> tuple[float | None, float | None]:
    """Return the 95 % interval of a share (of recall, here) by Wilson's score, 1927."""
    if not n:
        return None, None
    share, square = hits / n, Z * Z
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = Z * math.sqrt(share * (1 - share) / n + square / (4 * n * n)) / (1 + square / n)
    return round(max(middle - half, 0.0), 4), round(min(middle + half, 1.0), 4)
