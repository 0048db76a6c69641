"""The saga: how the effects of a run are undone, strictly in reverse and one at a time."""

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from agentops.runtime.states import UNDONE, UndoStatus
from agentops.runtime.tools.base import Call, CompensationRefusedError, Tool

BACKOFF_S = (1.0, 4.0, 16.0, 60.0, 300.0)
MAX_ATTEMPTS = len(BACKOFF_S) + 1


class Undoable(msgspec.Struct, kw_only=True):
    """One step that may have to be undone, registered before it is made."""

    tool: Tool
    arguments: dict[str, Any]
    remembered: dict[str, Any]
    call: Call
    status: UndoStatus = UndoStatus.REGISTERED
    attempts: int = 0
    error: str = ""


U = TypeVar("U", bound=Any)


def next_to_undo(steps: Sequence[U]) -> U | None:
    """Return the last step, in the order in which they were made, that is not undone yet; None when all are.

    One that cannot be undone blocks those before it: only a person knows whether they still should be.
    """
    return next((step for step in reversed(steps) if step.status not in UNDONE), None)


def after_failure(attempts: int, *, is_final: bool) -> tuple[UndoStatus, float]:
    """Return where a compensation stands after its so many-th failed attempt, and after how long it is tried again."""
    if is_final or attempts >= MAX_ATTEMPTS:
        return UndoStatus.DEAD, 0.0
    return UndoStatus.RETRY, BACKOFF_S[attempts - 1]


class Saga:
    """The steps of one run in memory, for agents that keep no rows."""

    def __init__(self) -> None:
        self.steps: list[Undoable] = []

    def register(self, tool: Tool, arguments: dict[str, Any], call: Call) -> Undoable | None:
        """Remember what undoing a call will need, before it is made."""
        if not tool.has_compensation:
            return None
        remembered = tool.remember(arguments, call)
        step = Undoable(tool=tool, arguments=arguments, remembered=remembered, call=call)
        self.steps.append(step)
        return step

    def undo_one(self) -> Undoable | None:
        """Try once to undo the next step, and return it; None when nothing is left or one cannot be undone."""
        step = next_to_undo(self.steps)
        if step is None or step.status == UndoStatus.DEAD:
            return None
        step.status, step.attempts = UndoStatus.RUNNING, step.attempts + 1
        try:
            step.tool.compensate(step.arguments, step.remembered, undo_call(step.call, step.attempts))
        except Exception as error:
            is_final = isinstance(error, CompensationRefusedError)
            step.status, _ = after_failure(step.attempts, is_final=is_final)
            step.error = str(error)
        else:
            step.status = UndoStatus.DONE
        return step


def undo_call(call: Call, attempt: int) -> Call:
    """Return the call that undoes another: with a key of its own, the same in each attempt."""
    return msgspec.structs.replace(call, key=undo_key(call.key), attempt=attempt)


def undo_key(key: str) -> str:
    return f"{key}-undo"
