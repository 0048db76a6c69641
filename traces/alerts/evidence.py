"""What the pages show of findings: chips, the steps that count as evidence, and the range in a run."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count

from traces import queries
from traces.alerts.models import Alert, AlertState
from traces.detectors.base import CANDIDATE, NOWHERE, Detector
from traces.detectors.models import DetectorState, Finding
from traces.detectors.registry import all_detectors
from traces.models import Trace

ROWS = 8  # of evidence; the rest is on the trace's page
RANGES = 20  # of one run


@dataclass(frozen=True)
class Chip:
    """Findings of one pattern in one run."""

    pattern: str
    count: int
    is_open: bool  # its alert waits for somebody

    @property
    def qualifier(self) -> str:
        return f"\u00d7{self.count}" if self.count > 1 else ""


@dataclass(frozen=True)
class Row:
    """One step of the evidence."""

    step: queries.Step
    after_onset_s: float
    why: str
    fires: bool


@dataclass(frozen=True)
class Evidence:
    rows: list[Row]
    more: int  # steps that are not listed
    bounds: list[tuple[int, int]]  # its first and last step, from 1; empty where they are gone


@dataclass(frozen=True)
class Range:
    """A finding with its place among the steps of its run, counted from 1."""

    finding: Finding
    first: int
    last: int

    @property
    def bounds(self) -> tuple[int, int]:
        return self.first, self.last

    @property
    def alert(self) -> Alert | None:
        return alert_of(self.finding)

    @property
    def is_open(self) -> bool:
        return is_open(self.finding)


@dataclass(frozen=True)
class Segment:
    """Steps in a row, each with the findings that are about it alone; `range` covers all of them."""

    range: Range | None
    rows: list[tuple[queries.Step, list[Range]]]


@dataclass(frozen=True)
class Found:
    """What a list shows of the findings of one run."""

    findings: Sequence[Finding]

    def chips(self) -> list[Chip]:
        """Return one chip a pattern, in the order of the steps."""
        by_pattern: dict[str, list[Finding]] = {}
        for finding in self.findings:
            by_pattern.setdefault(finding.pattern, []).append(finding)
        return [Chip(pattern, len(some), any(map(is_open, some))) for pattern, some in by_pattern.items()]

    def brackets(self) -> list[tuple[int, int]]:
        """Return first and last steps by the senders' numbers: a drawing 36 bars wide asks for no more."""
        return [(each.onset_number, each.last_number) for each in self.findings[:RANGES]]


def alert_of(finding: Finding) -> Alert | None:
    """Return the alert that counted it, loaded by queries.found_on."""
    fate = getattr(finding, "fate", None)
    return fate.alert if fate is not None else None


def is_open(finding: Finding) -> bool:
    alert = alert_of(finding)
    return alert is not None and alert.state == AlertState.OPEN


def ranges(trace: Trace, found: Sequence[Finding]) -> list[Range]:
    """Return where the findings of a trace are. Two queries, none without findings."""
    some = found[:RANGES]
    ends = {span_id for each in some for span_id in (each.onset_span_id, each.last_span_id)}
    places = {step.span_id: step.position + 1 for step in located(trace, ends)} if ends else {}
    return [
        Range(each, places[each.onset_span_id], places[each.last_span_id])
        for each in some
        if each.onset_span_id in places and each.last_span_id in places
    ]


def unplaced(found: Sequence[Finding]) -> list[Finding]:
    """Return the findings that are about a run as a whole, because no step shows them."""
    return [each for each in found[:RANGES] if each.onset_span_id == NOWHERE.span_id]


def unjudged(trace: Trace) -> list[tuple[str, str]]:
    """Return what the detectors could not judge in a trace: the pattern and the reason. One query."""
    said = DetectorState.objects.filter(trace=trace).values_list("coverage", flat=True).first() or {}
    patterns = {kind.name(): kind.pattern for kind in all_detectors()}
    return [(patterns[name], why) for name, reasons in said.items() if name in patterns for why in reasons]


def located(trace: Trace, span_ids: Collection[str]) -> list[queries.Step]:
    """Return these steps without bodies, in step order, with their places. Two queries."""
    steps = queries.in_step_order(trace)
    spans = list(steps.filter(span_id__in=span_ids).only(*queries.SLIM, "input_hash", "output_hash"))
    if not spans:
        return []
    before = {f"n{i}": Count("span_id", filter=queries.stands_before(span)) for i, span in enumerate(spans)}
    places = steps.aggregate(**before)
    return [queries.Step(span, places[f"n{i}"], trace) for i, span in enumerate(spans)]


def segments(steps: Sequence[queries.Step], found: Sequence[Range]) -> list[Segment]:
    """Divide a window of steps by the ranges that cover more than one of them; where two overlap, the first wins."""
    wide = [each for each in found if each.last > each.first and not each.finding.shadow]
    parts: list[Segment] = []
    for step in steps:
        place = step.position + 1
        covering = next((each for each in wide if each.first <= place <= each.last), None)
        if not parts or parts[-1].range is not covering:
            parts.append(Segment(covering, []))
        parts[-1].rows.append((step, [each for each in found if each.first == each.last == place]))
    return parts


def evidence(finding: Finding) -> Evidence:
    """Return the first steps of a finding's evidence and its range. Two queries."""
    chosen = finding.evidence[:ROWS]
    steps = located(finding.trace, {*chosen, finding.onset_span_id, finding.last_span_id})
    places = {step.span_id: step.position + 1 for step in steps}
    first, last = places.get(finding.onset_span_id), places.get(finding.last_span_id)
    listed = [step for step in steps if step.span_id in chosen]
    noticed = [step.span_id for step in listed if step.received_at == finding.received_at][-1:]
    rows = [
        Row(
            step,
            max((step.started_at - finding.onset_at).total_seconds(), 0.0),
            _why(listed, place),
            fires=step.span_id in noticed,
        )
        for place, step in enumerate(listed)
    ]
    bounds = [(first, last)] if first is not None and last is not None else []
    return Evidence(rows, len(finding.evidence) - len(rows), bounds)


def _why(steps: Sequence[queries.Step], place: int) -> str:
    """Say what a step has in common with the one before it that it is most like."""
    step = steps[place]
    if place == 0:
        return "onset"
    answer = "failed" if step.failed else "same answer" if _is_same(step, steps[place - 1], "output_hash") else ""
    for earlier in reversed(steps[:place]):
        if earlier.tool_name == step.tool_name and _is_same(step, earlier, "input_hash"):
            same = f"same arguments as step {earlier.number}"
            return f"{same}, {answer}" if answer else same
    return answer


def _is_same(one: queries.Step, other: queries.Step, field: str) -> bool:
    value: Any = getattr(one, field)
    return value is not None and value == getattr(other, field)


def detector_of(finding: Finding) -> type[Detector] | None:
    """Return the detector that found it, if this installation still has it."""
    name = finding.detector.removesuffix(CANDIDATE)
    return next((kind for kind in all_detectors() if kind.name() == name), None)


def decides(kind: type[Detector]) -> list[tuple[str, str]]:
    """Return how a detector decides, in its own words: the parts of its docstring, and its thresholds."""
    parts = [(name, text) for name, text in kind.sections().items() if name]
    limits = [f"`{name} = {getattr(kind.Thresholds(), name)}`" for name in kind.Thresholds.__struct_fields__]
    return [*parts, ("Thresholds", ", ".join(limits))] if limits else parts
