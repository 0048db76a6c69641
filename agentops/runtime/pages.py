"""What the page of one run says: where it stands, what it did, how that is undone, and what it has left."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from agentops.runtime import budget, endings, queries, registry, story
from agentops.runtime.models import Compensation, ModelTurn, Run, ToolCall
from agentops.runtime.states import UNSETTLED, CallStatus, UndoStatus
from agentops.runtime.tools.base import Effect
from agentops.web import numbers
from approvals import services as approvals
from approvals.models import Approval

NAMES_SHOWN = 5
LOOKS = {UndoStatus.DONE: ("rolled_back", "solid"), UndoStatus.DEAD: ("failed", "bad")}


@dataclass(frozen=True)
class Undo:
    """How an effect is undone: one word with its mark, and what a person has to do where nothing else is left."""

    said: str = ""
    mark: str = ""
    tone: str = ""
    error: str = ""
    by_hand: str = ""


@dataclass(frozen=True)
class Deed:
    """A call as the page shows it."""

    call: ToolCall
    undo: Undo
    approval: Approval | None

    @property
    def span_id(self) -> str:
        return story.call_span(self.call)

    @property
    def arguments(self) -> str:
        """What runs, as approved, in one line."""
        return json.dumps(self.call.runs_with, ensure_ascii=False)

    @property
    def is_effect(self) -> bool:
        return self.call.effect != Effect.READ and self.call.attempt > 0

    @property
    def refusal(self) -> str:
        """Why a call was not made, or did not go well; empty: it did, or is on its way."""
        is_told = self.call.status in {"invalid", "denied", "rejected", "failed"}
        return story.reason_of(self.call) if is_told else ""


@dataclass(frozen=True)
class Limit:
    """One limit of the budget, and what is used of it."""

    name: str
    used: str
    of: str
    share: float


def deeds(run: Run, given: Mapping[UUID, Approval]) -> list[Deed]:
    """Return the calls of a run in their order. One query."""
    return [
        Deed(call, _undo(run, call), given.get(call.approval_id) if call.approval_id else None)
        for call in queries.calls_of(run)
    ]


def _undo(run: Run, call: ToolCall) -> Undo:
    if call.status == CallStatus.UNKNOWN:
        return Undo("nobody can say whether it took effect", "unknown", "wait", by_hand=_by_hand(run, call, {}))
    compensation: Compensation | None = getattr(call, "compensation", None)
    if compensation is None:
        return _undo_of_none(call)
    return _undo_of(run, call, compensation)


def _undo_of_none(call: ToolCall) -> Undo:
    if call.effect == Effect.READ:
        return Undo("it only reads", tone="ghost")
    if call.status == CallStatus.SUCCEEDED:
        return Undo("cannot be undone", "cancelled")
    if call.status in UNSETTLED:
        return Undo()
    return Undo("it did not happen" if call.attempt else "it was not made", tone="ghost")


def _undo_of(run: Run, call: ToolCall, compensation: Compensation) -> Undo:
    status = UndoStatus(compensation.status)
    said = {
        UndoStatus.REGISTERED: "recorded: undone if the run fails",
        UndoStatus.NOT_NEEDED: "not needed",
        UndoStatus.RUNNING: "being undone",
        UndoStatus.RETRY: f"is tried again, after {compensation.attempts} attempt{'s'[: compensation.attempts != 1]}",
        UndoStatus.DONE: "undone",
        UndoStatus.DEAD: "could not be undone",
    }[status]
    mark, tone = LOOKS.get(status, ("", ""))
    by_hand = _by_hand(run, call, compensation.remembered) if status == UndoStatus.DEAD else ""
    error = compensation.last_error if status in {UndoStatus.RETRY, UndoStatus.DEAD} else ""
    return Undo(said, mark, tone, error, by_hand)


def _by_hand(run: Run, call: ToolCall, remembered: dict[str, Any]) -> str:
    """Say what a person has to do, in the words of the tool."""
    try:
        tool = registry.tools_of(run.agent)[call.tool]
    except LookupError:
        return f"The tool {call.tool} is gone by now. Find out by hand what it did, and put it right."
    return tool.manual_steps(call.runs_with, remembered)


def limits(run: Run, now: datetime) -> list[Limit]:
    """Return the budget of a run, steps first."""
    until = run.ended_at or now
    table = budget.table(run.budget, run.spent(endings.worked_s(run, until)))
    written: dict[str, tuple[str, Any]] = {
        "steps": ("Steps", numbers.count),
        "tokens": ("Tokens", numbers.count),
        "cost_usd": ("Money", lambda usd: numbers.money(Decimal(str(usd)))),
        "wall_s": ("Time at work", numbers.duration),
    }
    used = {key: write(table[key]["used"]) for key, (_, write) in written.items()}
    used["cost_usd"] = numbers.cost(run.cost_usd, run.unpriced)
    return [
        Limit(name, used[key], write(row["limit"]), row["used"] / row["limit"] if row["limit"] else 1.0)
        for key, (name, write) in written.items()
        for row in [table[key]]
    ]


def who_decides(waiting: Sequence[Approval]) -> str:
    """Name the people who may decide on what waits first: "Ada, Ben or Cy". One query, none when nothing waits."""
    if not waiting:
        return ""
    names = [str(member.user) for member in approvals.deciders(waiting[0])[: NAMES_SHOWN + 1]]
    if len(names) > NAMES_SHOWN:
        names[NAMES_SHOWN:] = ["others"]
    return " or ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def undone(acts: Sequence[Deed]) -> tuple[int, int]:
    """Return how many effects were undone, and how many there were to undo."""
    found = [deed.call.compensation.status for deed in acts if hasattr(deed.call, "compensation")]
    return found.count(UndoStatus.DONE), len(found) - found.count(UndoStatus.NOT_NEEDED)


def said(turn: ModelTurn | None) -> str:
    """Return what the agent said in a turn."""
    return (story.said(turn.content, "text") or "") if turn else ""
