"""What a detector is: a small machine that sees the steps of one trace one by one and yields hits.

No clock, no network, no database (import-linter checks it). The same steps give the same hits, however they were split.
"""

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from inspect import cleandoc
from typing import Any, ClassVar, TypeVar, dataclass_transform

import msgspec


class Severity(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


@dataclass_transform(frozen_default=True)
class Frozen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of thresholds: numbers with the unit in the name, which a project may override."""


class Mutable(msgspec.Struct):
    """Base of states: saved as JSON between two batches of steps, so of plain types and bounded (64 kB)."""


class StepRef(msgspec.Struct, frozen=True, array_like=True):
    """Where a step is: enough to point at it later without keeping the step."""

    span_id: str
    number: int


class Step(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One step as a detector sees it; bodies other than arguments only for detectors that declare them in `needs`."""

    span_id: str
    number: int
    event_type: str
    at_s: float  # seconds since the epoch
    ended_at_s: float | None = None
    is_timed: bool = True  # False where times were made up; rules on time are off then
    tool_name: str | None = None
    agent: str | None = None
    arguments: Any = None
    arguments_hash: int | None = None  # equal for equal arguments, in whatever order of keys
    result_hash: int | None = None
    result_size: int | None = None  # characters
    result_preview: str | None = None  # its first 160 characters on one line
    is_error: bool = False
    error: str | None = None  # normalised: digits, ids and quoted values taken out
    tokens: int | None = None
    context_tokens: int | None = None
    risk: str = "unknown"  # "read", "low", "medium", "high" by policy or as the trace declares it
    gate: str | None = None  # of a human gate: "user_turn", or the decision
    text: str | None = None  # only with needs = {"text"}

    @property
    def ref(self) -> StepRef:
        return StepRef(self.span_id, self.number)

    @property
    def is_user_turn(self) -> bool:
        """A person said something, which is new information for whatever follows."""
        return self.event_type == "human_gate" and self.gate == "user_turn"


class Hit(msgspec.Struct, frozen=True):
    """One recognition. A later hit of the same kind and onset replaces it: the failure goes on."""

    kind: str
    onset: StepRef
    last: StepRef
    say: str  # one plain sentence: who did what, how often, with which outcome
    next: str = ""  # what a person could do now
    evidence: tuple[str, ...] = ()  # span ids, in step order
    tool: str | None = None
    severity: Severity | None = None  # where it differs from the detector's


class Detector:
    """Base of detectors. A subclass has `Thresholds`, `State`, a docstring in four parts, and `see`."""

    pattern: ClassVar[str]
    severity: ClassVar[Severity]
    version: ClassVar[int] = 1  # count up when the same steps would now give other hits
    needs: ClassVar[frozenset[str]] = frozenset()

    class Thresholds(Frozen):
        pass

    class State(Mutable):
        pass

    thresholds: Any
    state: Any

    def __init__(self, *, state: Any = None, **thresholds: Any) -> None:
        self.thresholds = self.Thresholds(**thresholds)
        self.state = state if state is not None else self.State()

    def see(self, step: Step) -> Iterator[Hit]:
        raise NotImplementedError

    def silent(self, now_s: float) -> Iterator[Hit]:
        """Yield what the absence of steps means; asked after each batch and at the end of a quiet time."""
        yield from ()

    def coverage(self) -> Iterable[str]:
        """Say what could not be judged in this trace, and why."""
        return ()

    @classmethod
    def name(cls) -> str:
        return cls.__name__

    @classmethod
    def sections(cls) -> dict[str, str]:
        """Return the docstring's parts, by name: "", Definition, Input, Misses, Source."""
        found: dict[str, list[str]] = {"": []}
        part = ""
        for line in cleandoc(cls.__doc__ or "").splitlines():
            head, colon, rest = line.partition(":")
            if colon and head in PARTS:
                part, line = head, rest  # noqa: PLW2901 - the rest of the heading's line
            found.setdefault(part, []).append(line.strip())
        return {name: " ".join(lines).strip() for name, lines in found.items()}


PARTS = ("Definition", "Input", "Misses", "Source")
ALONE = frozenset({"provenance", "schema_tolerated"})  # kinds of hits that never raise an alert by themselves
D = TypeVar("D", bound=type[Detector])


def detector(*, pattern: str, severity: Severity | str) -> Callable[[D], D]:
    """Mark a class as a detector of a pattern; being in a file of this folder is all that registers it."""

    def mark(cls: D) -> D:
        cls.pattern = pattern
        cls.severity = Severity(severity)
        cls.__is_detector__ = True  # type: ignore[attr-defined]
        return cls

    return mark
