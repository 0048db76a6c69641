"""missing_rollback: a change of several steps stopped half way, and nobody took the first steps back."""

from collections.abc import Iterable, Iterator
from typing import Annotated
from zlib import crc32

import msgspec
from msgspec import Meta

from traces.detectors.base import Detector, Frozen, Hit, Moment, Mutable, Severity, Step, StepRef, detector
from traces.detectors.provenance import CHANGES, identifiers, words_of

MOST_CHANGES = 50  # of one trace that are kept; the oldest go first
MOST_FAILURES = 20
MOST_NAMES = 24  # identifiers of one call that are kept
MOST_CALLS = 200
MOST_EVIDENCE = 20


class Change(msgspec.Struct, array_like=True):
    """A call that changed something."""

    ref: StepRef
    tool: str
    call: int  # equal for equal calls
    turn: int
    names: list[int]  # the identifiers in its arguments and its result, hashed


class Failure(msgspec.Struct, array_like=True):
    """A change that failed after others had been made in the same turn; tried again, it is one."""

    ref: StepRef
    tool: str
    turn: int
    names: list[int]


class End(msgspec.Struct, array_like=True):
    """The last step, where it is a call."""

    ref: StepRef
    tool: str
    is_error: bool
    is_again: bool  # the same call had succeeded before


@detector(pattern="missing_rollback", severity=Severity.HIGH)
class MissingRollback(Detector):
    """A change of several steps stopped half way, and what had been done stayed as it was.

    Definition: judged when the trace has ended and nothing more is waited for; a live run that stands still at a call
        for `max_quiet_s` seconds, so that it waits for nobody's answer, is judged then. `half_done`: within one turn
        of a person, at least `min_changes` calls of tools that are known to change something succeeded, a later one
        failed, and until the end it was neither made good (the same tool on the same things, with success) nor were
        the first ones taken back (by a call that says so in `agentops.compensates`, by a later change of the same
        things, or by a tool whose name holds theirs, as `undo_x` does for `x`). `cut_off`: the run ended failed after
        such changes, or in the midst of a call that failed or had succeeded before, though its agent speaks elsewhere.
    Input: calls with a declared or set risk, their arguments, results and errors; how the trace ended.
    Misses: steps that were left out and never tried; failures that a tool reports as success; changes by tools of
        unknown risk; a half that a person accepted counts as one all the same.
    Source: Garcia-Molina and Salem, "Sagas", SIGMOD 1987: each step of a long change has its compensation.
    """

    needs = frozenset({"result", "undoes"})
    kinds = ("half_done", "cut_off")

    class Thresholds(Frozen):
        min_changes: Annotated[int, Meta(ge=1, le=50)] = 1
        max_quiet_s: Annotated[float, Meta(ge=1, le=86_400)] = 120.0

    class State(Mutable):
        turn: int = 0
        has_spoken: bool = False
        changes: list[Change] = []
        failures: list[Failure] = []
        calls: list[int] = []
        end: End | None = None

    def see(self, step: Step) -> Iterator[Hit]:
        state = self.state
        state.turn += step.is_user_turn
        state.has_spoken = state.has_spoken or step.event_type == "model_response"
        state.end = None
        if step.event_type == "tool_call" and step.tool_name:
            call, is_again = crc32(f"{step.tool_name} {step.arguments_hash}".encode()), False
            if not step.is_error:
                is_again = call in state.calls
                state.calls = state.calls if is_again else [*state.calls, call][-MOST_CALLS:]
            state.end = End(step.ref, step.tool_name, step.is_error, is_again)
            if step.risk != "read":
                self._weigh(step, step.tool_name, call)
        yield from ()

    def _weigh(self, step: Step, tool: str, call: int) -> None:
        state, names = self.state, _names(step)
        if not step.is_error:
            self._made(tool, names, step.undoes)
            if step.risk in CHANGES:
                state.changes = [*state.changes, Change(step.ref, tool, call, state.turn, names)][-MOST_CHANGES:]
        elif step.risk in CHANGES and not any(one.call == call for one in state.changes):
            is_known = any(one.tool == tool and one.turn == state.turn for one in state.failures)
            if not is_known and len(list(self._before(state.turn))) >= self.thresholds.min_changes:
                state.failures = [*state.failures, Failure(step.ref, tool, state.turn, names)][-MOST_FAILURES:]

    def _before(self, turn: int) -> Iterator[Change]:
        return (one for one in self.state.changes if one.turn == turn)

    def _made(self, tool: str, names: list[int], undoes: str | None) -> None:
        """Take in that a change succeeded: it may make a failure good, or take back what was done before one."""
        state, touched = self.state, set(names)
        state.failures = [
            one for one in state.failures if one.tool != tool or (one.names and touched.isdisjoint(one.names))
        ]
        halves = {one.turn for one in state.failures}
        state.changes = [
            one
            for one in state.changes
            if one.ref.span_id != undoes
            and not (one.tool != tool and one.tool in tool)
            and not (one.turn in halves and not touched.isdisjoint(one.names))
        ]
        state.failures = [one for one in state.failures if any(self._before(one.turn))]

    def silent(self, now: Moment) -> Iterator[Hit]:
        stuck_s = self._stuck_s(now)
        if now.is_settled or (stuck_s is not None and now.at_s >= stuck_s):
            due_s = now.settles_s if stuck_s is None else min(stuck_s, now.settles_s)
            yield from (self._half_done(failure, due_s) for failure in self.state.failures)
        if now.is_settled and not self.state.failures and self.state.changes and self._is_cut_off(now):
            yield self._cut_off(now)

    def look_again_s(self, now: Moment) -> float | None:
        stuck_s = self._stuck_s(now)
        regular_s = super().look_again_s(now)
        return regular_s if regular_s is None or stuck_s is None or now.at_s >= stuck_s else min(stuck_s, regular_s)

    def _stuck_s(self, now: Moment) -> float | None:
        """Return when a run that stands still in the midst of a failure is no longer waited for."""
        if not self.state.failures or self.state.end is None or not now.is_live:
            return None
        return now.received_s + float(self.thresholds.max_quiet_s)

    def _half_done(self, failure: Failure, due_s: float) -> Hit:
        made = list(self._before(failure.turn))
        made = [one for one in made if one.ref.number < failure.ref.number] or made
        done = _tools(made)
        return Hit(
            "half_done",
            onset=failure.ref,
            last=failure.ref,
            say=f"{done} had changed something when {failure.tool} failed; that was not made good, and nothing undone.",
            next=f"Look at what {done} did, and take it back or finish by hand what {failure.tool} was to do.",
            evidence=(*(one.ref.span_id for one in made[-MOST_EVIDENCE:]), failure.ref.span_id),
            tool=failure.tool,
            due_s=due_s,
        )

    def _is_cut_off(self, now: Moment) -> bool:
        end = self.state.end
        return now.status == "error" or (self.state.has_spoken and end is not None and (end.is_error or end.is_again))

    def _cut_off(self, now: Moment) -> Hit:
        made = self.state.changes[-MOST_EVIDENCE:]
        done, end = _tools(made), self.state.end
        last = end.ref if end else made[-1].ref
        how = "ended failed" if now.status == "error" else f"broke off at a call of {end.tool if end else ''}"
        return Hit(
            "cut_off",
            onset=last,
            last=last,
            say=f"The run {how} after {done} had changed something; nothing was undone.",
            next=f"Look at what {done} did, and take it back or finish it by hand.",
            evidence=tuple(dict.fromkeys([*(one.ref.span_id for one in made), last.span_id])),
            tool=made[-1].tool,
            severity=None if now.status == "error" else Severity.MEDIUM,
            due_s=now.settles_s,
        )


def _tools(changes: Iterable[Change]) -> str:
    return ", ".join(dict.fromkeys(one.tool for one in changes))


def _names(step: Step) -> list[int]:
    """Return what a call and its result name, so that two calls on the same things are known by it."""
    named = [word for one in identifiers(step.arguments) for word in one.words]
    if not step.is_error:
        named += words_of(step.result or "")
    return [crc32(word.encode(errors="replace")) for word in list(dict.fromkeys(named))[:MOST_NAMES]]
