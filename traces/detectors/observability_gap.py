"""observability_gap: a run of which nobody can say what the agent did."""

from collections.abc import Iterable, Iterator, Sized
from typing import Annotated

import msgspec
from msgspec import Meta

from traces.detectors.base import NOWHERE, Detector, Frozen, Hit, Moment, Mutable, Severity, Step, StepRef, detector
from traces.detectors.lack import MOST_KEPT, Lack, has_result, hashed

MOST_PARENTS = 20
MOST_CALLS = 200
MOST_SAID = 5  # holes in a sentence
MOST_TOLD = 2  # tools in a sentence
FEW_LEAPS = 3  # up to which nothing can be said of how a sender counts
WORK = frozenset({"tool_call", "model_response"})
TOLD = "call-"  # span ids of calls that only messages tell of begin so (ingest/calls.py)


class Pause(Mutable):
    """The step that ended last, and what is expected after it."""

    ref: StepRef = NOWHERE
    until_s: float = 0.0
    after: str = ""  # what the silence follows, in words; empty where nothing need follow
    is_open: bool = False  # a call whose result is waited for
    tool: str | None = None


@detector(pattern="observability_gap", severity=Severity.LOW)
class ObservabilityGap(Detector):
    """Something of the run is missing, so nobody can say what the agent did.

    Definition: all but silence and runs without steps is judged once the trace has settled, and is one finding a run.
        Where none of a run's calls has a result, or no model call tokens, its client may never send them: the severity
        is low, and in a file it is no finding. It is medium only for silence, holes, runs without steps, and results
        that the same tool gave elsewhere in the run. `silence`: for `max_silence_s` no step came although one was due:
        a call had no result yet, a result no answer of the model, or the first message of a person none; said while
        it lasts, and where the trace was closed by the clock. `no_steps`: a run that was opened, or in which an agent
        is named, left no step. `holes`: numbers between two steps are missing, at most `max_hole_steps` at a time.
        `no_result`: calls without a result. `no_usage`: model calls without tokens. `open_child`: the root ended, but
        a step did not, or the span around it never came.
    Input: all steps, how the trace stands, and when something came last.
    Misses: steps before the first and after the last; leaps where nearly every step leaps; traces without real times;
        pauses of a person are no silence; agents that end with a tool's result and close no trace look silent; tools
        that answer nothing count as without a result, but for one that ends a run well.
    Source: Design rule of this project: every decision is a step. Of 2,690 + 430 runs of WorkBench, Styles et al. 2024,
        arXiv:2405.00823, the 430 crashed ones left no step.
    """

    version = 1
    kinds = ("silence", "no_steps", "holes", "no_result", "no_usage", "open_child")

    class Thresholds(Frozen):
        max_silence_s: Annotated[float, Meta(ge=1, le=604_800)] = 300.0
        max_hole_steps: Annotated[int, Meta(ge=1, le=100_000)] = 1_000

    class State(Mutable):
        steps: int = 0
        last: StepRef | None = None
        before: StepRef | None = None  # the step before the first hole
        holes: list[tuple[int, int]] = []
        leaps: int = 0
        around: list[str] = []  # spans beside the holes
        results: Lack = msgspec.field(default_factory=Lack)
        usage: Lack = msgspec.field(default_factory=Lack)
        told: list[int] = []  # hashed, calls that messages told of since the model spoke last
        endless: list[StepRef] = []
        parents: dict[str, StepRef] = {}  # hashed, each with the first step under it
        pause: Pause = msgspec.field(default_factory=Pause)
        has_spoken: bool = False

    def see(self, step: Step) -> Iterator[Hit]:
        state = self.state
        yield from self._gap(step)
        self._count(step)
        state.steps += 1
        if step.event_type == "tool_call":
            state.results.note(step, has_it=has_result(step))
            self._note_told(step)
        elif step.event_type == "model_response":
            state.has_spoken, state.told = True, []
            if not step.is_error:
                state.usage.note(step, has_it=step.tokens is not None)
        if step.event_type in WORK and step.ended_at_s is None and not has_result(step):
            state.endless = [*state.endless, step.ref][:MOST_KEPT]
        if step.parent_span_id and len(state.parents) < MOST_PARENTS:
            state.parents.setdefault(str(hashed(step.parent_span_id)), step.ref)

    def _note_told(self, step: Step) -> None:
        """Remember a call that the next request will tell the result of: without one nobody can have said it."""
        if step.span_id.startswith(TOLD) and not has_result(step):
            self.state.told = [*self.state.told, hashed(step.span_id)][-MOST_CALLS:]

    def _gap(self, step: Step) -> Iterator[Hit]:
        """Yield the silence that this step ends, and note what is due after it."""
        state, pause = self.state, self.state.pause
        if not step.is_timed:
            state.pause = Pause()
            return
        gap_s = step.at_s - pause.until_s
        if pause.after and gap_s >= self.thresholds.max_silence_s and (pause.is_open or not _is_person(step)):
            yield self._silence(gap_s)
        until_s = max(step.ended_at_s or step.at_s, step.at_s)
        if until_s >= pause.until_s:
            after, is_open = self._due(step)
            state.pause = Pause(step.ref, until_s, after, is_open, step.tool_name)

    def _due(self, step: Step) -> tuple[str, bool]:
        """Return what silence after a step would follow, and whether it is a call that runs; nothing for none."""
        state = self.state
        if step.event_type == "tool_call":
            if not has_result(step) and step.ended_at_s is None:
                if step.span_id.startswith(TOLD):
                    return "", False
                return f"the call of {step.tool_name or 'a tool'}", True
            return (f"the result of {step.tool_name or 'a tool'}", False) if state.has_spoken else ("", False)
        if step.is_user_turn and not state.steps:
            return "the first message of a person", False
        return "", False

    def _count(self, step: Step) -> None:
        state, last = self.state, self.state.last
        state.last = step.ref
        if last is None or not 1 < step.number - last.number <= self.thresholds.max_hole_steps + 1:
            return
        state.leaps += 1
        state.before = state.before or last
        if len(state.holes) < MOST_KEPT:
            state.holes = [*state.holes, (last.number + 1, step.number - 1)]
            state.around = list(dict.fromkeys([*state.around, last.span_id, step.span_id]))[:MOST_KEPT]

    def silent(self, now: Moment) -> Iterator[Hit]:
        yield from self._silent_now(now)
        if not now.steps and not self.state.steps and _is_run(now) and (now.is_settled or self._is_long(now)):
            yield self._no_steps(now)
        if now.is_settled:
            yield from self._holes(now)
            yield from self._no_result(now)
            yield from self._no_usage(now)
            yield from self._open_child(now)

    def look_again_s(self, now: Moment) -> float | None:
        again_s = super().look_again_s(now)
        due_s: float = now.received_s + self.thresholds.max_silence_s
        may_be_silent = now.status == "running" or now.is_abandoned
        if may_be_silent and now.at_s < due_s and (self.state.pause.after or not now.steps):
            return due_s if again_s is None else min(due_s, again_s)
        return again_s

    def coverage(self) -> Iterable[str]:
        if self.state.results.is_never_there:
            yield "no result in this trace: which calls lost theirs cannot be told"
        if self.state.usage.is_never_there:
            yield "no tokens in this trace: which model calls lost theirs cannot be told"
        if self.state.holes and not self._counts():
            yield "the sender's step numbers leap: no holes can be told"

    def _is_long(self, now: Moment) -> bool:
        return now.is_live and now.at_s - now.received_s >= self.thresholds.max_silence_s

    def _silent_now(self, now: Moment) -> Iterator[Hit]:
        if self.state.pause.after and (now.status == "running" or now.is_abandoned) and self._is_long(now):
            yield self._silence(None, due_s=now.received_s + self.thresholds.max_silence_s)

    def _silence(self, gap_s: float | None, due_s: float | None = None) -> Hit:
        pause = self.state.pause
        long = f"more than {self.thresholds.max_silence_s:,.0f} s" if gap_s is None else f"{gap_s:,.0f} s"
        return Hit(
            "silence",
            onset=pause.ref,
            last=pause.ref,
            say=f"After {pause.after} no step came for {long}.",
            next="Look whether the agent's process lives, and what it waits for; give its calls a time limit.",
            evidence=(pause.ref.span_id,),
            tool=pause.tool if pause.is_open else None,
            severity=Severity.MEDIUM if pause.is_open else None,
            due_s=due_s,
        )

    def _no_steps(self, now: Moment) -> Hit:
        return Hit(
            "no_steps",
            onset=NOWHERE,
            last=NOWHERE,
            say="The run left no step.",
            next="Look into the log of the agent's process: it broke off before its first step, or sends none.",
            severity=Severity.MEDIUM,
            due_s=min(now.settles_s, now.received_s + self.thresholds.max_silence_s),
        )

    def _counts(self) -> bool:
        """Say whether the sender numbers steps one by one: where nearly every step leaps, it does not."""
        leaps: int = self.state.leaps
        return leaps <= FEW_LEAPS or leaps * 4 <= self.state.steps * 3

    def _holes(self, now: Moment) -> Iterator[Hit]:
        holes, before = self.state.holes, self.state.before
        if not holes or before is None or not self._counts():
            return
        missing = [str(first) if first == last else f"{first} to {last}" for first, last in holes[:MOST_SAID]]
        more = self.state.leaps - len(missing)
        yield Hit(
            "holes",
            onset=before,
            last=before,
            say=f"Steps are missing: {', '.join(missing)}{f', and {more} more holes' if more else ''}.",
            next="Look whether the client drops steps: a full queue, refused batches, an exit without a flush.",
            evidence=tuple(self.state.around),
            severity=Severity.MEDIUM,
            due_s=now.settles_s,
        )

    def _no_result(self, now: Moment) -> Iterator[Hit]:
        results, told = self.state.results, set(self.state.told)
        kept = zip(results.refs, results.tools, strict=True)
        lost = [
            (ref, tool) for ref, tool in kept if hashed(ref.span_id) not in told and not self._ends_run(ref, tool, now)
        ]
        if not lost or (results.is_never_there and not now.is_live):
            return
        tools = list(dict.fromkeys(tool or "a tool" for _, tool in lost))
        lack = results.lack - (len(results.refs) - len(lost))
        is_usual = results.is_never_there or not any(hashed(tool) in results.with_it for _, tool in lost)
        of = ", ".join(tools[:MOST_TOLD]) + (" and others" if len(tools) > MOST_TOLD else "")
        yield Hit(
            "no_result",
            onset=lost[0][0],
            last=lost[-1][0],
            say=f"{results.share('call', lack)} ({of}) came without a result.",
            next="Send each call's result, or its error; the ingest page says which setting brings them.",
            evidence=tuple(ref.span_id for ref, _ in lost),
            tool=tools[0] if len(tools) == 1 else None,
            severity=None if is_usual else Severity.MEDIUM,
            due_s=now.settles_s,
        )

    def _ends_run(self, ref: StepRef, tool: str, now: Moment) -> bool:
        """Say whether a call was the end of a run that went well: tools such as `finish` answer nothing."""
        is_end = ref == self.state.last and now.status == "ok" and not now.is_abandoned
        return is_end and bool(self.state.results.have) and hashed(tool) not in self.state.results.with_it

    def _no_usage(self, now: Moment) -> Iterator[Hit]:
        usage = self.state.usage
        if not usage.lack or (usage.is_never_there and not now.is_live):
            return
        yield Hit(
            "no_usage",
            onset=usage.refs[0],
            last=usage.refs[-1],
            say=f"{usage.share('model call')} came without tokens.",
            next="Send the tokens of each model call; the ingest page says which setting brings them.",
            evidence=tuple(ref.span_id for ref in usage.refs),
            due_s=now.settles_s,
        )

    def _open_child(self, now: Moment) -> Iterator[Hit]:
        if now.root_ended_s is None:
            return
        parents = [self.state.parents.get(str(hashed(parent)), NOWHERE) for parent in now.lost_parents]
        children = {ref.span_id: ref for ref in (*self.state.endless, *parents)}
        if len(children) > 1:
            children.pop(NOWHERE.span_id, None)
        if not children:
            return
        in_order = sorted(children.values(), key=lambda ref: (ref.number, ref.span_id))
        yield Hit(
            "open_child",
            onset=in_order[0],
            last=in_order[-1],
            say=f"The run's root ended, but {_below(self.state.endless, now.lost_parents)}.",
            next="End every span before the root, also when something fails, and wait for what runs in the background.",
            evidence=tuple(ref.span_id for ref in in_order if ref != NOWHERE),
            due_s=now.settles_s,
        )


def _is_person(step: Step) -> bool:
    """Say whether a step is a person's: how long people take says nothing of the agent."""
    return step.event_type == "human_gate"


def _is_run(now: Moment) -> bool:
    """Say whether an agent ran at all: spans of which none is a step may be a service's that has none."""
    return not now.spans or now.names_agent


def _below(endless: Sized, lost: Sized) -> str:
    if not lost:
        return f"{len(endless)} of its steps never did"
    return f"{len(lost)} of the spans around its steps never came"
