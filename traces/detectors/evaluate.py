"""Detectors against labelled runs, beside the textbook rules; no database, and detectors never see the truth."""

import gzip
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import msgspec

from traces.detectors.base import ALONE, NEEDS, Detector, Hit, Level, Step
from traces.detectors.baselines import COUNTS, RULES
from traces.detectors.labelled import Label, RunError, Truth, end_of, read_run, read_steps
from traces.detectors.nonsense import nonsense
from traces.detectors.registry import all_detectors
from traces.detectors.score import Score

SHARE_LINES = 32  # in a row that one process reads
TIE = 0.01  # of F1: a detector that is no better than counting by more is said to tie
ANY = "any"  # the basis of the row in which labels of every basis count
GZIP = b"\x1f\x8b"

Kinds = dict[str, set[int]]  # kind → the numbers of the steps it accuses
Row = dict[str, Any]


class Examined(msgspec.Struct):
    """What is kept of one run: its truth, and what each rule said."""

    source: str
    truth: Truth
    calls: int
    steps: int
    counts: dict[str, int]  # by the counting rules
    ours: dict[str, Kinds]  # by pattern
    rules: dict[str, set[int]]
    took_s: float  # for all our detectors together

    def labels(self, pattern: str) -> list[Label]:
        """Return the labels worth scoring with: what an agent said of itself is none."""
        return [label for label in self.truth.labels if label.pattern == pattern and not label.silver]


class Share(msgspec.Struct, frozen=True):
    """A part of a file that one process examines: every `of`-th stretch of lines, from the `number`-th on."""

    path: Path
    number: int = 0
    of: int = 1
    in_nonsense: bool = False


def examine(share: Share) -> list[Examined]:
    """Read a share line by line and examine each run. Raises RunError, which names the line, and OSError."""
    return [
        _examined(line, place, share)
        for place, line in enumerate(_lines(share.path), 1)
        if (place // SHARE_LINES) % share.of == share.number and line.strip()
    ]


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        packed = file.read(2) == GZIP
        file.seek(0)
        yield from cast("BinaryIO", gzip.GzipFile(fileobj=file)) if packed else file


def _examined(line: bytes, place: int, share: Share) -> Examined:
    try:
        run = read_run(line)
        steps = read_steps(nonsense(line) if share.in_nonsense else line, NEEDS)
    except RunError as error:
        raise RunError(f"{share.path}, line {place}: {error}.") from None
    started = time.process_time()
    found = ours(steps)
    took_s = time.process_time() - started
    return Examined(
        source=run.source,
        truth=run.truth,
        calls=sum(step.event_type == "tool_call" for step in steps),
        steps=len(steps),
        counts={name: count(steps) for name, count in COUNTS.items()},
        ours=found,
        rules={rule.name: rule.accuse(steps) for rule in RULES},
        took_s=took_s,
    )


def ours(steps: list[Step]) -> dict[str, Kinds]:
    """Return what our detectors find in a finished run, by pattern."""
    detectors: list[Detector] = [kind() for kind in all_detectors()]
    found: dict[str, Kinds] = {}
    for one, hit in _hits(detectors, steps):
        found.setdefault(one.pattern, {}).setdefault(hit.kind, set()).add(hit.last.number)
    return found


def _hits(detectors: list[Detector], steps: list[Step]) -> Iterator[tuple[Detector, Hit]]:
    """Yield hits as they come when a trace is folded: each step is shown to all detectors, silence at the end."""
    for step in steps:
        for one in detectors:
            for hit in one.see(step):
                yield one, hit
    for one in detectors:
        for hit in one.silent(end_of(steps)) if one.listens() else ():
            yield one, hit


def table(examined: Iterable[Examined]) -> list[Row]:
    """Return the rows of the contract for runs, those of each source together."""
    sources: dict[str, list[Examined]] = {}
    for run in examined:
        sources.setdefault(run.source, []).append(run)
    return [row for source, runs in sources.items() for row in _rows_of_source(source, runs)]


def _rows_of_source(source: str, runs: list[Examined]) -> list[Row]:
    speed = round(sum(run.steps for run in runs) / max(sum(run.took_s for run in runs), 1e-9))
    rows: list[Row] = []
    for pattern in sorted({kind.pattern for kind in all_detectors()}):
        levels = sorted({"trajectory", *(kind.level for kind in all_detectors() if kind.pattern == pattern)})[::-1]
        bases = sorted({label.basis for run in runs for label in run.labels(pattern)}) or ["none"]
        for basis in [*bases, *([ANY] if len(bases) > 1 else [])]:
            for level in levels:
                about = {"source": source, "pattern": pattern, "kind": None, "level": level, "basis": basis}
                some = _Rows(pattern, basis, level, runs)
                rows += [{**about, **row, "steps_per_s": speed} for row in some.ours() + some.rules()]
    return rows


class _Rows:
    """The rows of one pattern, by labels of one basis, at one level."""

    def __init__(self, pattern: str, basis: str, level: Level, runs: list[Examined]) -> None:
        self.pattern = pattern
        self.basis = basis
        self.level = level
        self.runs = runs

    def ours(self) -> list[Row]:
        kinds = sorted({kind for run in self.runs for kind in run.ours.get(self.pattern, {})})
        union = self._score([_accused(run.ours.get(self.pattern, {}), set(kinds) - ALONE) for run in self.runs])
        alone = [self._score([_accused(run.ours.get(self.pattern, {}), {kind}) for run in self.runs]) for kind in kinds]
        remark = self._remark(union)
        rows = zip([None, *kinds], [union, *alone], strict=True)
        return [_row("ours", score, kind=kind, remark=remark if kind is None else "") for kind, score in rows]

    def rules(self) -> list[Row]:
        fitting = [rule for rule in RULES if self.pattern in rule.patterns and self.level in ("trajectory", rule.level)]
        rows = [_row(rule.name, self._score([run.rules[rule.name] for run in self.runs])) for rule in fitting]
        for name in COUNTS if self.level == "trajectory" else ():
            threshold, score = self._best_count(name)
            rows.append(_row(name, score, remark=f"from {threshold} on, chosen in hindsight"))
        return rows

    def _remark(self, score: Score) -> str:
        """Say whether a detector is no better than the best rule that only counts."""
        if self.level != "trajectory" or score.f1 is None:
            return ""
        best = max(COUNTS, key=lambda name: self._best_count(name)[1].f1 or 0.0)
        threshold, rival = self._best_count(best)
        is_tie = 0 < score.positives < score.n and (rival.f1 or 0.0) > score.f1 - TIE
        return f"no better than {best} from {threshold} on" if is_tie else ""

    def _best_count(self, name: str) -> tuple[int, Score]:
        scores = {
            least: self._score([{0} if run.counts[name] >= least else set() for run in self.runs])
            for least in sorted({run.counts[name] for run in self.runs}, reverse=True)
        }
        best = max(scores, key=lambda least: scores[least].f1 or 0.0)
        return best, scores[best]

    def _score(self, accused: list[set[int]]) -> Score:
        score = Score()
        for run, steps in zip(self.runs, accused, strict=True):
            labels = run.labels(self.pattern)
            of_basis = [label for label in labels if self.basis in (ANY, label.basis)]
            is_whole = run.truth.coverage.get(self.pattern) == "full"
            # What another basis calls positive is no negative here.
            if self.level == "call":
                _count_calls(score, run.calls if is_whole else None, steps, labels, of_basis)
            elif of_basis or (is_whole and not labels):
                _count_run(score, is_positive=bool(of_basis), is_hit=bool(steps))
            if run.truth.outcome == "pass":
                score.passed_runs += 1
                score.false_alarms_on_passed += bool(steps) and not labels
        return score


def _count_run(score: Score, *, is_positive: bool, is_hit: bool) -> None:
    score.n += 1
    score.positives += is_positive
    score.tp += is_positive and is_hit
    score.fp += is_hit and not is_positive


def _count_calls(
    score: Score, calls: int | None, accused: set[int], labels: list[Label], of_basis: list[Label]
) -> None:
    """Count each of a run's calls; where the labels are not whole (`calls` is None), only those with a label."""
    positive = {label.step for label in of_basis if label.step is not None}
    labelled = {label.step for label in labels}
    is_whole = calls is not None and None not in labelled
    score.n += calls if calls is not None and is_whole else len(positive)
    score.positives += len(positive)
    score.tp += len(positive & accused)
    score.fp += len(accused - labelled) if is_whole else 0


def _accused(found: Kinds, kinds: set[str]) -> set[int]:
    return {step for kind, steps in found.items() if kind in kinds for step in steps}


def _row(detector: str, score: Score, *, kind: str | None = None, remark: str = "") -> Row:
    return {"kind": kind, "detector": detector, **score.figures(), "remark": remark}
