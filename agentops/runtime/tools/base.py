"""What a tool of the built-in agent is: its schema, what a repetition of it would do, and how it is undone.

Nothing here needs Django, so that a tool can be written, tested and used in anyone's agent.
"""

from enum import StrEnum
from typing import Any, ClassVar

import msgspec


class Effect(StrEnum):
    """What a call leaves behind, which decides what may happen after a crash with an unknown outcome."""

    READ = "read"  # nothing: run it again
    IDEMPOTENT = "idempotent"  # the other side honours our key: run it again with the same key, while that is kept
    PROBEABLE = "probeable"  # the other side can be asked whether it happened
    TRANSACTIONAL = "transactional"  # a write in our own Postgres, made in the transaction that records it
    UNSAFE = "unsafe"  # none of these: never repeated, a person looks at it


class Risk(StrEnum):
    """What a tool's author says of it; a policy of the project decides, and without one a tool is HIGH."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One logical call as a tool sees it; the key is the same in each attempt."""

    run_id: str
    key: str  # the idempotency key: run, turn and ordinal, never the attempt
    project_id: str
    attempt: int = 1
    timeout_s: float = 30.0


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What a call would do, in the tool's own words, from its arguments and what it looks up; shown to approvers."""

    title: str  # "Refund $4,180.00"
    target: str = ""  # "to Oslo Climbing AS, card ending 6411"
    facts: dict[str, str] = {}  # short: {"Order": "10391", "Share of the order": "100 %"}
    consequences: list[str] = []  # one plain sentence each, what happens if it is approved
    undo: str = ""  # how it can be undone; empty: it cannot


class ToolError(Exception):
    """The call did not happen, or happened and failed, for a reason that the agent may act on."""


class OutcomeUnknownError(Exception):
    """The call was sent, and nobody can say whether it took effect: a time-out, a reset connection."""


class CompensationRefusedError(Exception):
    """The call cannot be undone, now or ever: trying again is of no use. The message says what a person has to do."""


class Tool:
    """Base of tools. A subclass has a name, a description, a JSON Schema, an effect, a risk and `execute`."""

    name: ClassVar[str]
    description: ClassVar[str]
    schema: ClassVar[dict[str, Any]]
    effect: ClassVar[Effect] = Effect.UNSAFE
    risk: ClassVar[Risk] = Risk.HIGH
    version: ClassVar[int] = 1  # count up when equal arguments would now do something else
    key_kept_s: ClassVar[float] = 86_400.0  # how long the other side honours a key (IDEMPOTENT)
    has_compensation: ClassVar[bool] = False

    def execute(self, arguments: dict[str, Any], call: Call) -> Any:
        """Do it, and return what the agent is told (JSON).

        A TRANSACTIONAL tool runs inside the transaction that records its outcome and writes through Django's
        connection alone; all others run outside any. Raises ToolError, or OutcomeUnknownError.
        """
        raise NotImplementedError

    def probe(self, arguments: dict[str, Any], call: Call) -> Any | None:
        """Return what a former attempt returned, or None if none took effect (PROBEABLE)."""
        raise NotImplementedError

    def remember(self, arguments: dict[str, Any], call: Call) -> dict[str, Any]:
        """Return what undoing will need to know, such as the state before; recorded before `execute` is called."""
        return {}

    def compensate(self, arguments: dict[str, Any], remembered: dict[str, Any], call: Call) -> Any:
        """Undo the call, by its own key, also when it never took effect or was undone before.

        Raises any error to be tried again later, CompensationRefusedError when that is of no use.
        """
        raise NotImplementedError

    def preview(self, arguments: dict[str, Any], call: Call) -> Preview:
        """Say what the call would do. May look things up, changes nothing, takes no longer than two seconds."""
        return Preview(title=self.name)

    def manual_steps(self, arguments: dict[str, Any], remembered: dict[str, Any]) -> str:
        """Say what a person has to do where undoing failed for good."""
        return f"Look at what {self.name} did with these arguments, and undo it by hand."
