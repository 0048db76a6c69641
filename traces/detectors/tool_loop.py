"""tool_loop: calls repeated without new information."""

import re
from collections.abc import Callable, Iterator
from difflib import SequenceMatcher
from functools import partial

import msgspec

from traces.detectors.base import Detector, Frozen, Hit, Mutable, Severity, Step, StepRef, detector

WRITES = {"medium", "high"}  # declared or set by policy; an unknown tool counts as a read
ARGUMENT_CHARS = 200  # kept of a call's arguments to compare near-identical ones


_ID = re.compile(r"\b\w*\d\w*")  # from the start of a word alone: linear time


class Call(msgspec.Struct, array_like=True):
    """What is kept of a tool call."""

    ref: StepRef
    tool: str
    arguments: int | None
    result: int | None
    failed: bool
    error: str | None
    words: str  # the start of the arguments, canonical
    is_near: bool = False  # to the call before: its tool and result, and nearly its arguments

    @property
    def is_like(self) -> tuple[str, int | None, int | None, str | None]:
        """Two calls that agree in this taught the agent nothing the second time."""
        return self.tool, self.arguments, None if self.failed else self.result, self.error


class GoingOn(msgspec.Struct, array_like=True):
    """The loop that the last call belonged to."""

    kind: str
    tools: list[str]
    onset: StepRef
    count: int


Found = tuple[str, list[Call], Callable[[int], str]]  # kind, the calls that show it, the sentence for their number


@detector(pattern="tool_loop", severity=Severity.HIGH)
class ToolLoop(Detector):
    """The agent calls a tool again and again and learns nothing from it.

    Definition: within one turn of a person, without a new message from them: `min_repeats` calls in a row with equal
        tool, arguments and result (`min_write_repeats` for a tool of known side effects that succeeded); the same
        error of one tool `min_errors` times in a row, whatever the arguments; a cycle over two to `max_period`
        calls, equal in arguments and results, gone through `min_cycles` times; or `min_unchanged` calls of one tool
        in a row with near-identical arguments (`min_similarity`, and no other number or id) and one result. Calls
        without a recorded result need `min_repeats_blind` equal ones.
    Input: tool steps; model steps between them are ignored, a message from a person starts anew.
    Misses: results that carry a clock or a counter; loops longer than `max_period` calls; polling that is meant to
        wait is told from a loop only by its changing results.
    Source: MAST failure mode 1.3 "step repetition", Cemri et al. 2025, arXiv:2503.13657; the rule of equal results
        and the counts were chosen on recorded runs, see `evaluate`.
    """

    class Thresholds(Frozen):
        min_repeats: int = 3
        min_write_repeats: int = 2
        min_repeats_blind: int = 3
        min_errors: int = 4
        min_cycles: int = 3
        max_period: int = 4
        min_unchanged: int = 4
        min_similarity: float = 0.8

    class State(Mutable):
        calls: list[Call] = []
        going_on: GoingOn | None = None

    def see(self, step: Step) -> Iterator[Hit]:
        if step.is_user_turn:
            self.state.calls, self.state.going_on = [], None
        if step.event_type != "tool_call" or not step.tool_name:
            return
        kept = self.thresholds.max_period * self.thresholds.min_cycles + 16
        call = _call(step)
        call.is_near = bool(self.state.calls) and self._is_near(self.state.calls[-1], call)
        calls = self.state.calls = [*self.state.calls, call][-kept:]
        before, self.state.going_on = self.state.going_on, None
        for rule in (self._repeated, self._same_error, self._cycle, self._unchanged):
            found = rule(calls, step)
            if found is not None:
                yield self._hit(*found, before)
                return

    def _repeated(self, calls: list[Call], step: Step) -> Found | None:
        row = _row(calls, lambda call: call.is_like == calls[-1].is_like)
        if len(row) < self._least(step):
            return None
        outcome = "failed the same way" if step.is_error else "gave the same answer"
        if step.result_hash is None and not step.is_error:
            outcome = "was called with the same arguments; no result was recorded"
        return ("repeated_call", row, lambda n: f"{step.tool_name} {outcome} {n} times in a row.")

    def _least(self, step: Step) -> int:
        if step.result_hash is None and not step.is_error:
            return int(self.thresholds.min_repeats_blind)
        if step.risk in WRITES and not step.is_error:
            return int(self.thresholds.min_write_repeats)
        return int(self.thresholds.min_repeats)

    def _same_error(self, calls: list[Call], step: Step) -> Found | None:
        if not step.is_error:
            return None
        row = _row(calls, lambda call: call.tool == step.tool_name and call.failed and call.error == step.error)
        if len(row) < self.thresholds.min_errors:
            return None
        ways = len({call.arguments for call in row})
        return ("same_error", row, lambda n: f"{step.tool_name} failed {n} times with one error, for {ways} arguments.")

    def _cycle(self, calls: list[Call], step: Step) -> Found | None:
        for period in range(2, self.thresholds.max_period + 1):
            row = _periodic(calls, period)
            if len(row) < period * self.thresholds.min_cycles or len({call.is_like for call in row[:period]}) == 1:
                continue
            tools = ", ".join(dict.fromkeys(call.tool for call in row[:period]))
            words = f"{tools}: {period} calls go round with the same results"
            return "cycle", row, partial("{}, {} calls so far.".format, words)
        return None

    def _unchanged(self, calls: list[Call], step: Step) -> Found | None:
        if step.result_hash is None or step.is_error or step.risk in WRITES:
            return None
        row = _row(calls, lambda call: call.is_near)
        row = calls[-len(row) - 1 :]  # and the call that the first of them is near to
        if len(row) < self.thresholds.min_unchanged:
            return None
        ways = len({call.arguments for call in row})
        return (
            "unchanged",
            row,
            lambda n: f"{step.tool_name}: {n} calls with {ways} slightly different arguments gave one answer.",
        )

    def _is_near(self, first: Call, second: Call) -> bool:
        if (first.tool, first.result) != (second.tool, second.result) or second.result is None:
            return False
        if first.words == second.words:
            return True
        if sorted(_ID.findall(first.words)) != sorted(_ID.findall(second.words)):
            return False  # another number is another item, not another try
        compared = SequenceMatcher(None, first.words, second.words, autojunk=False)
        least: float = self.thresholds.min_similarity
        return compared.real_quick_ratio() >= least and compared.quick_ratio() >= least and compared.ratio() >= least

    def _hit(self, kind: str, row: list[Call], say: Callable[[int], str], before: GoingOn | None) -> Hit:
        """Return the hit; one that goes on keeps its onset and its count when the memory of calls is shorter."""
        tool = row[-1].tool
        goes_on = before is not None and before.kind == kind and before.tools == sorted({call.tool for call in row})
        now = GoingOn(
            kind,
            sorted({call.tool for call in row}),
            before.onset if before and goes_on else row[0].ref,
            before.count + 1 if before and goes_on else len(row),
        )
        self.state.going_on = now
        return Hit(
            kind,
            onset=now.onset,
            last=row[-1].ref,
            say=say(now.count),
            next=f"Stop the run if it goes on; look at what {tool} answers and why the agent does not use it.",
            evidence=tuple(call.ref.span_id for call in row),
            tool=tool,
        )


def _call(step: Step) -> Call:
    words = msgspec.json.encode(step.arguments, order="deterministic").decode()[:ARGUMENT_CHARS]
    call, result = step.arguments_hash, step.result_hash
    return Call(step.ref, step.tool_name or "", call, result, step.is_error, step.error, words)


def _row(calls: list[Call], holds: Callable[[Call], bool]) -> list[Call]:
    """Return the calls at the end for which something holds without a break."""
    start = len(calls)
    while start and holds(calls[start - 1]):
        start -= 1
    return calls[start:]


def _periodic(calls: list[Call], period: int) -> list[Call]:
    """Return the longest stretch at the end in which each call is like the one `period` before it."""
    start = len(calls)
    while start > period and calls[start - 1].is_like == calls[start - 1 - period].is_like:
        start -= 1
    return calls[start - period :] if start < len(calls) else []
