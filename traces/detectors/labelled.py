"""Labelled runs as detectors see them: read by the door that imports them, so that each step is the one it would be."""

from datetime import UTC, datetime

import msgspec

from traces.detectors.base import SETTLE_S, UNDOES, Moment, Step
from traces.detectors.steps import FAR, Reader, texts_of
from traces.detectors.toolset import Offers, Toolset, toolset_of
from traces.ingest.record import ASKED, Batch, SpanRecord
from traces.ingest.trajectory import add_trajectory

NOW = datetime(2026, 1, 1, tzinfo=UTC)  # the same at each reading, as nothing may depend on it
INJECTED = "actions caused by an injected instruction"  # the scope of labels that are hijacks by another name


class Label(msgspec.Struct):
    pattern: str
    basis: str
    step: int | None = None
    silver: bool | None = None  # what an agent said of itself


class Truth(msgspec.Struct):
    """What is known of a run. No detector sees it."""

    labels: list[Label] = []
    coverage: dict[str, str] = {}
    scope: dict[str, str] = {}
    outcome: str | None = None

    def __post_init__(self) -> None:
        """Count what labels of `over_automation` say of injected instructions as `context_drift` too."""
        if self.scope.get("over_automation") == INJECTED and "context_drift" not in self.coverage:
            hijacks = [label for label in self.labels if label.pattern == "over_automation"]
            self.labels += [msgspec.structs.replace(label, pattern="context_drift") for label in hijacks]
            self.coverage["context_drift"] = self.coverage.get("over_automation", "none")


class LabelledRun(msgspec.Struct):
    """A run with its truth; the steps are beside it, see `read_steps`."""

    trajectory_id: str
    steps: list[msgspec.Raw]
    source: str = ""
    truth: Truth = msgspec.field(default_factory=Truth)


class RunError(ValueError):
    """Raised for a line that is no run, or one with a step that is none."""


_decode = msgspec.json.Decoder(LabelledRun).decode


def read_run(line: bytes) -> LabelledRun:
    """Return what a line says of its run. Raises RunError."""
    try:
        return _decode(line)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise RunError(str(error)) from None


def read_steps(line: bytes, needs: frozenset[str]) -> list[Step]:
    """Return the steps of a run, in step order, as a detector would see them after an import. Raises RunError."""
    batch = Batch()
    add_trajectory(batch, line, now=NOW)
    for rejection in batch.rejected:
        fault = rejection.errors[0]
        raise RunError(f"step {rejection.index + 1}{fault.pointer and ' at '}{fault.pointer}: {fault.detail}")
    rows = {span.span_id: span for span in reversed(batch.spans)}  # of two with one number the first one stays
    reader = RecordReader(offers=Offers(), needs=needs, is_live=False)
    return [step for _, step in reader.read(sorted(rows.values(), key=_place))]


def end_of(steps: list[Step]) -> Moment:
    """Return how a finished run stands once nothing more is waited for."""
    last_s = max((step.ended_at_s or step.at_s for step in steps), default=NOW.timestamp())
    failed = bool(steps) and steps[-1].event_type == "error"
    settles_s = last_s + SETTLE_S
    return Moment(
        at_s=settles_s,
        status="error" if failed else "ok",
        received_s=last_s,
        settles_s=settles_s,
        steps=len(steps),
        spans=len(steps),
        is_live=False,
    )


class RecordReader(Reader[SpanRecord]):
    """Reads the records that a door made, before they are rows."""

    def __init__(self, *, offers: Offers, needs: frozenset[str], is_live: bool) -> None:
        super().__init__(offers=offers, needs=needs, is_live=is_live)
        self._toolsets: dict[str, Toolset] = {}

    def toolset(self, key: str) -> Toolset:
        return self._toolsets[key]

    def offered(self, row: SpanRecord) -> str | None:
        if row.toolset is None:
            return None
        key = row.toolset.sha256.hex()
        if key not in self._toolsets:
            self._toolsets[key] = toolset_of(row.toolset.tools)
        return key

    def output(self, row: SpanRecord) -> str | None:
        return row.output

    def is_truncated(self, row: SpanRecord) -> bool:
        return bool(row.attributes and row.attributes.get("truncated") is True)

    def undoes(self, row: SpanRecord) -> str | None:
        span_id = (row.attributes or {}).get(UNDOES)
        return span_id if isinstance(span_id, str) else None

    def asked(self, row: SpanRecord) -> tuple[str, ...]:
        return texts_of((row.attributes or {}).get(ASKED))


def _place(row: SpanRecord) -> tuple[int, datetime, datetime, str]:
    return row.step_number or 0, row.started_at, row.ended_at or FAR, row.span_id
