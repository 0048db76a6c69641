"""tool_loop: calls repeated without new information."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from difflib import SequenceMatcher
from typing import Annotated
from zlib import crc32

import msgspec
from msgspec import Meta

from traces.detectors.base import Detector, Frozen, Hit, Mutable, Severity, Step, StepRef, detector
from traces.detectors.provenance import CHANGES

ARGUMENT_CHARS = 200  # kept of a call's arguments to compare near-identical ones
MOST_CHANGES = 50  # different ones within one turn that are kept to know a repetition
MOST_REPEATED = 6  # calls of one change that are shown, the first and the last ones

_ID = re.compile(r"\b\w*\d\w*")  # from the start of a word alone: linear time


class Call(msgspec.Struct, array_like=True):
    """What is kept of a tool call."""

    ref: StepRef
    tool: str
    arguments: int | None
    result: int | None
    error: str | None  # None where it succeeded
    words: str  # the start of the arguments, canonical
    taught: int  # equal for calls that agree in tool, arguments and outcome: the second one taught nothing
    is_new: bool = True  # no such call is among those kept
    is_near: bool = False  # to the call before: its tool and result, and nearly its arguments

    @property
    def asked(self) -> tuple[str, int | None]:
        return self.tool, self.arguments


class Change(msgspec.Struct, array_like=True):
    """A call that changed something, with those that repeated it."""

    refs: list[StepRef]
    result: int | None
    count: int = 1


class GoingOn(msgspec.Struct, array_like=True):
    """A loop that further calls may join."""

    kind: str
    tools: list[str]
    onset: StepRef
    count: int


Found = tuple[str, list[Call], Callable[[int], str]]  # kind, the calls that show it, the sentence for their number


@detector(pattern="tool_loop", severity=Severity.HIGH)
class ToolLoop(Detector):
    """The agent calls a tool again and again and learns nothing from it.

    Definition: within one turn of a person, without a new message from them. `repeated_change`: a call of a tool of
        known side effects succeeded, and the same call succeeded again, with an answer that differs in its numbers
        only (it took effect once more), or with the same answer and nothing learnt in between; what a runtime took
        back does not count. `repeated_call`: `min_repeats` calls in a row with equal tool, arguments and outcome.
        `same_error`: one error of one tool `min_errors` times in a row, whatever the arguments. `unchanged`:
        `min_unchanged` calls of one tool in a row
        with near-identical arguments (`min_similarity`, and no other number or id) and one result. `cycle`: the
        agent goes round in whatever order: of the last `within_calls` calls `min_old` had been made before with one
        outcome, one of them `min_visits` times, the last two were such calls, and of those that were repeated at
        least `min_steady` different ones never answered otherwise (one alone beside a call whose answers change is
        a wait between two looks).
    Input: tool steps with the declared or set risk of their tools; model steps between them are ignored, a message
        from a person starts anew.
    Misses: results that carry a clock or a counter; loops longer than half of `within_calls`; a change that is
        repeated after something else was learnt, and says the same; polling that is meant to wait is told from a
        loop only by its changing results.
    Source: MAST failure mode 1.3 "step repetition", Cemri et al. 2025, arXiv:2503.13657; the counts were chosen on
        recorded runs, see `evaluate`: three equal lookups in a row are in over 1 % of the runs that end well.
    """

    version = 2
    needs = frozenset({"undoes"})
    kinds = ("repeated_change", "repeated_call", "same_error", "unchanged", "cycle")

    class Thresholds(Frozen):
        min_repeats: Annotated[int, Meta(ge=2, le=50)] = 5
        min_errors: Annotated[int, Meta(ge=2, le=50)] = 4
        min_unchanged: Annotated[int, Meta(ge=2, le=50)] = 4
        min_similarity: Annotated[float, Meta(ge=0, le=1)] = 0.8
        min_old: Annotated[int, Meta(ge=2, le=50)] = 5
        min_visits: Annotated[int, Meta(ge=2, le=50)] = 3
        min_steady: Annotated[int, Meta(ge=1, le=50)] = 2
        within_calls: Annotated[int, Meta(ge=4, le=60)] = 20

    class State(Mutable):
        calls: list[Call] = []  # of this turn, the last ones
        learnt: StepRef | None = None  # the last call of this turn that taught something
        changes: dict[str, Change] = {}
        going_on: GoingOn | None = None
        round: StepRef | None = None  # where a cycle began: it stays one finding though new calls come between

    def see(self, step: Step) -> Iterator[Hit]:
        if step.is_user_turn:
            self.state = self.State()
        if step.event_type != "tool_call" or not step.tool_name:
            return
        calls, before = self._keep(_call(step), may_be_near=step.risk not in CHANGES), self.state.going_on
        self.state.going_on = None
        again = self._repeated_change(step, calls[-1])
        if calls[-1].is_new:
            self.state.learnt = step.ref
        if again is not None:
            yield again
            return
        for rule in (self._repeated, self._same_error, self._unchanged):
            found = rule(calls)
            if found is not None:
                yield self._hit(*found, before)
                return
        yield from self._cycle(calls)

    def _keep(self, call: Call, *, may_be_near: bool) -> list[Call]:
        """Add a call to those of this turn, compared with them."""
        calls = self.state.calls
        call.is_new = all(other.taught != call.taught for other in calls)
        call.is_near = may_be_near and bool(calls) and self._is_near(calls[-1], call)
        kept: list[Call] = [*calls, call][-self.thresholds.within_calls :]
        self.state.calls = kept
        return kept

    def _repeated_change(self, step: Step, call: Call) -> Hit | None:
        if step.undoes:
            kept = self.state.changes.items()
            self.state.changes = {
                like: one for like, one in kept if step.undoes not in {ref.span_id for ref in one.refs}
            }
        if step.risk not in CHANGES or step.is_error or step.result_hash is None or step.undoes:
            return None
        answer = _ID.sub("#", step.result_preview or "")
        like = str(crc32(f"{call.tool} {call.arguments} {answer}".encode(errors="replace")))
        changes, learnt = self.state.changes, self.state.learnt
        change = changes.pop(like, None)
        if change is None or (change.result == call.result and learnt and learnt.number > change.refs[-1].number):
            changes[like] = Change([step.ref], call.result)
            if len(changes) > MOST_CHANGES:
                del changes[next(iter(changes))]
            return None
        change.refs = [*change.refs[:1], *change.refs[1:][2 - MOST_REPEATED :], step.ref]
        change.result, change.count = call.result, change.count + 1
        changes[like] = change
        say = f"{call.tool} did the same {change.count} times: equal arguments, and each time it succeeded."
        undo = f"Find out whether {call.tool} took effect {change.count} times, and take back what is too much."
        evidence = tuple(ref.span_id for ref in change.refs)
        return Hit("repeated_change", change.refs[0], step.ref, say, undo, evidence, call.tool)

    def _repeated(self, calls: list[Call]) -> Found | None:
        last = calls[-1]
        row = _row(calls, lambda call: call.taught == last.taught)
        if len(row) < self.thresholds.min_repeats:
            return None
        outcome = "failed the same way" if last.error is not None else "gave the same answer"
        if last.error is None and last.result is None:
            outcome = "was called with the same arguments; no result was recorded"
        return "repeated_call", row, lambda n: f"{last.tool} {outcome} {n} times in a row."

    def _same_error(self, calls: list[Call]) -> Found | None:
        last = calls[-1]
        if last.error is None:
            return None
        row = _row(calls, lambda call: call.tool == last.tool and call.error == last.error)
        if len(row) < self.thresholds.min_errors:
            return None
        ways = len({call.arguments for call in row})
        return "same_error", row, lambda n: f"{last.tool} failed {n} times with one error, for {ways} arguments."

    def _unchanged(self, calls: list[Call]) -> Found | None:
        row = _row(calls, lambda call: call.is_near)
        row = calls[-len(row) - 1 :]  # and the call that the first of them is near to
        if len(row) < self.thresholds.min_unchanged or len({call.words for call in row}) == 1:
            return None
        tool, ways = row[-1].tool, len({call.arguments for call in row})
        return (
            "unchanged",
            row,
            lambda n: f"{tool}: {n} calls with {ways} slightly different arguments gave one answer.",
        )

    def _is_near(self, first: Call, second: Call) -> bool:
        if (
            first.tool != second.tool
            or first.result != second.result
            or second.result is None
            or second.error is not None
        ):
            return False
        if first.words == second.words:
            return True
        if sorted(_ID.findall(first.words)) != sorted(_ID.findall(second.words)):
            return False  # another number is another item, not another try
        compared = SequenceMatcher(None, first.words, second.words, autojunk=False)
        least: float = self.thresholds.min_similarity
        return compared.real_quick_ratio() >= least and compared.quick_ratio() >= least and compared.ratio() >= least

    def _cycle(self, calls: list[Call]) -> Iterator[Hit]:
        visits = Counter(call.taught for call in calls)
        old = len(calls) - len(visits)
        if old < self.thresholds.min_old or any(call.is_new for call in calls[-2:]):
            return
        answers = Counter(call.asked for call in {call.taught: call for call in calls}.values())
        row = [call for call in calls if visits[call.taught] > 1]
        steady = {call.asked for call in row if answers[call.asked] == 1}
        if max(visits.values()) < self.thresholds.min_visits or len(steady) < self.thresholds.min_steady:
            return
        tools = ", ".join(dict.fromkeys(call.tool for call in row))
        words = f"{tools}: of the last {len(calls)} calls {old} had been made before, and taught nothing new."
        self.state.round = self.state.round or row[0].ref
        yield _hit("cycle", self.state.round, row, words)

    def _hit(self, kind: str, row: list[Call], say: Callable[[int], str], before: GoingOn | None) -> Hit:
        """Return the hit; one that goes on keeps its onset and its count when the memory of calls is shorter."""
        tools = sorted({call.tool for call in row})
        goes_on = before is not None and before.kind == kind and before.tools == tools
        onset = before.onset if before and goes_on else row[0].ref
        count = before.count + 1 if before and goes_on else len(row)
        self.state.going_on = GoingOn(kind, tools, onset, count)
        return _hit(kind, onset, row, say(count))


def _call(step: Step) -> Call:
    words = msgspec.json.encode(step.arguments, order="deterministic").decode()[:ARGUMENT_CHARS]
    error = (step.error or "") if step.is_error else None
    outcome = step.result_hash if error is None else error
    taught = crc32(f"{step.tool_name} {step.arguments_hash} {outcome}".encode(errors="replace"))
    return Call(step.ref, step.tool_name or "", step.arguments_hash, step.result_hash, error, words, taught)


def _row(calls: list[Call], holds: Callable[[Call], bool]) -> list[Call]:
    """Return the calls at the end for which something holds without a break."""
    start = len(calls)
    while start and holds(calls[start - 1]):
        start -= 1
    return calls[start:]


def _hit(kind: str, onset: StepRef, row: list[Call], say: str) -> Hit:
    tool, evidence = row[-1].tool, tuple(call.ref.span_id for call in row)
    advice = f"Stop the run if it goes on; look at what {tool} answers and why the agent does not use it."
    return Hit(kind, onset, row[-1].ref, say, advice, evidence, tool)
