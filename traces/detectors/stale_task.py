"""context_drift: what belongs to an earlier task is acted upon in a later one."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from traces.detectors.base import Detector, Frozen, Hit, Mutable, Severity, Step, StepRef, detector
from traces.detectors.values import is_date

WRITES = {"medium", "high"}  # declared or set by policy
KEPT_USES, NAME_CHARS, VALUE_CHARS = 30, 20, 40  # so that the state is bounded, whatever a sender writes

_ID = re.compile(r"\A(?=[^\d]*\d)[\w@.-]{3,}\Z")
_YEAR = re.compile(r"\A(?:19|20)\d\d\Z")
_AMOUNT = re.compile(r"\A\d+\.\d*\Z")
_DIGIT, _LETTER = re.compile(r"\d"), re.compile(r"[^\W\d_]")
_CLOSED = re.compile(r"\[TASK: [^\]]{0,999}\bSTATUS: \"COMPLETE\"")


class Use(msgspec.Struct, array_like=True):
    """A call's argument that says which thing it is about."""

    argument: str
    value: str
    ref: StepRef


@detector(pattern="context_drift", severity=Severity.MEDIUM)
class StaleTask(Detector):
    """The agent acts on the thing that an earlier task was about.

    Definition: two kinds of calls with effects that name, in the same argument as a call before, a thing that the
        person did not name again. `stale_entity`: their last message names a new thing of the same form (another order
        number), and the call names none of those in it. `closed_task`: the agent has since declared that task complete,
        and `min_calls` such calls follow.
    Input: what people and the agent said, arguments of tools and their risk. Things are ids: values with a digit that
        are no date, year or amount.
    Misses: things known by their names alone; mistakes between two things of one message; tasks that are closed
        without the marker [TASK: "…" STATUS: "COMPLETE" …]; tools of unknown risk.
    Source: rules of this project, tried on recorded runs with several requests in a row, where none of them was found
        without cause; how often such drift is recognised could not be measured for want of labelled runs.
    """

    needs = frozenset({"text"})
    kinds = ("stale_entity", "closed_task")

    class Thresholds(Frozen):
        min_calls: Annotated[int, Meta(ge=1, le=50)] = 1

    class State(Mutable):
        asked: list[str] = []  # ids in the person's last message
        used: list[Use] = []  # since that message, or since a task was closed
        earlier: list[Use] = []
        closed: list[Use] = []
        late_calls: int = 0

    def see(self, step: Step) -> Iterator[Hit]:
        if step.is_user_turn:
            self._hear(step.text or "")
        elif step.text and _CLOSED.search(step.text):
            self._close()
        if step.event_type == "tool_call" and step.tool_name:
            uses = list(_uses(step))
            if step.risk in WRITES and not any(use.value in self.state.asked for use in uses):
                yield from self._judge(step, uses)
            self.state.used = _latest([*self.state.used, *uses])

    def _hear(self, text: str) -> None:
        state = self.state
        asked = list(dict.fromkeys(_ids(text)))[:KEPT_USES]
        if asked == state.asked and asked:
            return  # some agents repeat the request after each result
        state.earlier, state.used = _latest([*state.earlier, *state.used]), []
        state.closed = [use for use in state.closed if use.value not in asked]
        state.asked, state.late_calls = asked, 0

    def _close(self) -> None:
        state = self.state
        state.closed = _latest(
            [*state.closed, *state.used, *(use for use in state.earlier if use.value in state.asked)]
        )
        state.asked, state.used = [], []

    def _judge(self, step: Step, uses: list[Use]) -> Iterator[Hit]:
        state = self.state
        known = {(use.argument, use.value) for use in state.earlier}
        mentioned = {use.value for use in state.earlier}
        new = {_form(value): value for value in state.asked if value not in mentioned}
        closed = {(use.argument, use.value): use for use in state.closed}
        for use in uses:
            before = closed.get((use.argument, use.value))
            if before is not None:
                state.late_calls += 1
                if state.late_calls >= self.thresholds.min_calls:
                    yield _hit("closed_task", step, before, "which belongs to a task that was declared complete")
                return
            if (use.argument, use.value) in known and _form(use.value) in new:
                before = next(old for old in reversed(state.earlier) if old.value == use.value)
                yield _hit("stale_entity", step, before, f"though the person now asks about {new[_form(use.value)]}")
                return


def _hit(kind: str, step: Step, before: Use, why: str) -> Hit:
    return Hit(
        kind,
        onset=before.ref,
        last=step.ref,
        say=f"{step.tool_name} was called for {before.value}, last used in step {before.ref.number}, {why}.",
        next=f"Check what {step.tool_name} did to {before.value}, and give the agent the new task without the old one.",
        evidence=(before.ref.span_id, step.span_id),
        tool=step.tool_name,
    )


def _uses(step: Step) -> Iterator[Use]:
    for argument, value in _pairs("", step.arguments):
        if _form(value):
            yield Use(argument[:NAME_CHARS], value, step.ref)


def _pairs(argument: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _pairs(name, inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _pairs(argument, inner)
    elif isinstance(value, str | int) and not isinstance(value, bool):
        yield argument, _bare(str(value))


def _ids(text: str) -> Iterator[str]:
    return (bare for word in text.split() if not word.isalpha() and _form(bare := _bare(word)))


def _bare(word: str) -> str:
    return word[: VALUE_CHARS + 20].lower().strip("#'\"().,:;!?<>[]$ ")[:VALUE_CHARS]


@lru_cache(maxsize=4_096)
def _form(value: str) -> str:
    """Return where letters and digits stand in an id, "" for anything else."""
    if value.isalpha() or not _ID.match(value) or _YEAR.match(value) or _AMOUNT.match(value) or is_date(value):
        return ""
    return _LETTER.sub("a", _DIGIT.sub("0", value))


def _latest(uses: list[Use]) -> list[Use]:
    """Return the last use of each thing, so many at most."""
    return list({(use.argument, use.value): use for use in uses}.values())[-KEPT_USES:]
