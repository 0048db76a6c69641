"""What a detector is: a small machine that sees the steps of one trace one by one and yields hits.

No clock, no network, no database (import-linter checks it). The same steps give the same hits, however they were split.
"""

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from inspect import cleandoc
from typing import Any, ClassVar, Literal, TypeVar, dataclass_transform

import msgspec

from traces.detectors.toolset import Tool, Toolset


class Severity(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


@dataclass_transform(frozen_default=True)
class Frozen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of thresholds: numbers with the unit in the name, which a project may override.

    What they may be is said by `msgspec.Meta` and read by `limits.py`; the top of a range keeps the state bounded.
    """


class Mutable(msgspec.Struct):
    """Base of states: saved as JSON between two batches of steps, so of plain types and bounded (64 kB)."""


Level = Literal["trajectory", "call"]
NEEDS = frozenset({"text", "result", "truncated", "undoes"})
RESULT_CHARS = 20_000
UNDOES = "agentops.compensates"  # in metadata: the span of the call that this one takes back
SETTLE_S = 30.0  # after the end of a trace; what comes late has come by then


class StepRef(msgspec.Struct, frozen=True, array_like=True):
    """Where a step is: enough to point at it later without keeping the step."""

    span_id: str
    number: int


NOWHERE = StepRef("", 0)


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate had decided on a call, or on another call of the same tool, before it was made."""

    approval_id: str
    decision: str  # "approved", or one of the refusals
    is_exact: bool  # it is on these very arguments
    by: str = ""  # the person; empty where a policy or the clock decided
    waited_s: float | None = None  # until a person decided


class Step(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One step as a detector sees it; bodies other than arguments only for detectors that declare them in `needs`."""

    span_id: str
    parent_span_id: str | None = None
    number: int
    event_type: str
    at_s: float  # seconds since the epoch
    ended_at_s: float | None = None
    is_timed: bool = True  # False where times were made up; rules on time are off then
    is_live: bool = True  # False for what was imported: no gate can have known of it
    tool_name: str | None = None
    agent: str | None = None
    arguments: Any = None
    arguments_hash: int | None = None  # equal for equal arguments, in whatever order of keys
    toolset: Toolset | None = None  # what this agent could call here; None where nothing tells
    result_hash: int | None = None
    result_size: int | None = None  # characters
    result_preview: str | None = None  # its first 160 characters on one line
    is_error: bool = False
    error: str | None = None  # normalised: digits, ids and quoted values taken out
    tokens: int | None = None  # None: the sender gave no usage
    cost_usd: float | None = None  # the sender's, else estimated; None: nobody knows it
    is_cost_estimated: bool = False
    context_tokens: int | None = None
    risk: str = "unknown"  # "read", "low", "medium", "high" by policy or as the trace declares it
    gate: str | None = None  # of a human gate: "user_turn", or the decision, as the sender says it
    gates: tuple[Gate, ...] = ()  # of a live call of high risk: what the gate itself had decided, oldest first
    text: str | None = None  # only with needs = {"text"}
    asked: tuple[str, ...] = ()  # only with needs = {"text"}: what people said in the request that a model answers
    result: str | None = None  # only with needs = {"result"}: its first RESULT_CHARS characters, JSON if no string
    is_truncated: bool = False  # only with needs = {"truncated"}: bodies of a call were cut, as its sender says
    undoes: str | None = None  # only with needs = {"undoes"}: the span whose effect a call takes back, as it says

    @property
    def ref(self) -> StepRef:
        return StepRef(self.span_id, self.number)

    @property
    def tool(self) -> Tool | None:
        """The called tool's entry in the toolset; None where it was not offered, or nothing tells what was."""
        return self.toolset.tools.get(self.tool_name or "") if self.toolset else None

    @property
    def is_user_turn(self) -> bool:
        """A person said something, which is new information for whatever follows."""
        return self.event_type == "human_gate" and self.gate == "user_turn"

    @property
    def heard(self) -> tuple[str, ...]:
        """What people said in this step, or, where no step of theirs is recorded, to the model that answers in it."""
        if self.is_user_turn:
            return (self.text,) if self.text else ()
        return self.asked


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """What silence is judged by: the database's clock, in seconds since the epoch, and how the trace stands."""

    at_s: float
    status: str  # "running", "ok" or "error"
    received_s: float  # when something was received last
    settles_s: float  # when nothing more is waited for: SETTLE_S after the trace was, or will be, closed
    root_ended_s: float | None = None  # when the span around the run ended, where the sender has such
    steps: int = 0
    spans: int = 0
    names_agent: bool = False  # of a trace without steps: a span of it names an agent
    lost_parents: tuple[str, ...] = ()  # once settled after its root: spans that steps are under, which never came
    is_abandoned: bool = False  # closed by the clock: neither did anybody say how it ended, nor did a root end
    is_live: bool = True

    @property
    def is_settled(self) -> bool:
        return self.status != "running" and self.at_s >= self.settles_s


class SessionSoFar(msgspec.Struct, frozen=True):
    """What the other runs of a session have used, as the sums of their traces say when a look at this one begins."""

    runs: int
    steps: int
    tokens: int
    cost_usd: float
    work_s: float  # from each run's first span to its last


class Hit(msgspec.Struct, frozen=True):
    """One recognition. A later hit of the same kind and onset replaces it: the failure goes on.

    The onset of a run without any step is NOWHERE.
    """

    kind: str
    onset: StepRef
    last: StepRef
    say: str  # one plain sentence: who did what, how often, with which outcome
    next: str = ""  # what a person could do now
    evidence: tuple[str, ...] = ()  # span ids, in step order
    tool: str | None = None
    severity: Severity | None = None  # where it differs from the detector's
    due_s: float | None = None  # of an absence: when its threshold passed, seconds since the epoch
    of_session: bool = False  # accuses the whole session: once for all its runs


class Detector:
    """Base of detectors. A subclass has `Thresholds`, `State`, a docstring in four parts, and `see`."""

    pattern: ClassVar[str]
    severity: ClassVar[Severity]
    version: ClassVar[int] = 1  # count up when the same steps would now give other hits
    needs: ClassVar[frozenset[str]] = frozenset()  # of NEEDS: what is loaded for this detector beside the arguments
    kinds: ClassVar[tuple[str, ...]] = ()  # of its hits
    level: ClassVar[Level] = "trajectory"  # "call": each hit accuses its last step alone, and is scored so

    class Thresholds(Frozen):
        pass

    class State(Mutable):
        pass

    thresholds: Any
    state: Any
    session: SessionSoFar | None = None  # only where it judges sessions and the run is of one
    key: str  # what it goes by in a trace: its name, or that of a candidate beside it
    is_shadow: bool = False  # on trial: what it finds is told to nobody

    def __init__(self, *, state: Any = None, **thresholds: Any) -> None:
        self.thresholds = self.Thresholds(**thresholds)
        self.state = state if state is not None else self.State()
        self.key = self.name()

    def see(self, step: Step) -> Iterator[Hit]:
        raise NotImplementedError

    def silent(self, now: Moment) -> Iterator[Hit]:
        """Yield what the absence of steps means by now; asked after each batch and when `look_again_s` says.

        It changes no state, and what it yields stands as long as it is repeated, or once `see` has said the same. So
        that arrival in another order ends in the same findings, it says of a silence under way only what `see` will
        say of the step that ends it.
        """
        yield from ()

    def look_again_s(self, now: Moment) -> float | None:
        """Return when to ask `silent` next if no step arrives, seconds since the epoch; None for never."""
        if now.is_settled:
            return None
        return now.settles_s if now.at_s < now.settles_s else now.at_s + SETTLE_S

    @classmethod
    def listens(cls) -> bool:
        """Say whether silence means anything to it; nobody's time is spent on asking those that it does not."""
        return cls.silent is not Detector.silent

    def judges_session(self) -> bool:
        """Say whether, with these thresholds, it asks for what the other runs of the session have used."""
        return False

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


CANDIDATE = ".candidate"  # behind the name of a detector: other thresholds of it, in shadow beside it
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
