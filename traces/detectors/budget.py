"""budget: a run, or all runs of a session together, use more steps, tokens, money or time than they may."""

from collections.abc import Iterable, Iterator
from typing import Annotated

from msgspec import Meta

from traces.detectors.base import (
    NOWHERE,
    Detector,
    Frozen,
    Hit,
    Mutable,
    SessionSoFar,
    Severity,
    Step,
    StepRef,
    detector,
)

SESSION = "session_"  # of a kind: the budget is that of all runs together
NO_BUDGET = {"off": 0}  # of a threshold: the number at which there is none
GROWTH = 2.0  # a run over its budget is told of again each time that it has used so many times more
NEXT = {
    "steps": "Look at its last steps: stop the run if it gets nowhere, or split the task.",
    "tokens": "Look at what fills the context: results by reference, a summary, a smaller task.",
    "cost": "Stop the run unless it is worth more; see which model calls cost most.",
    "time": "Look at what it waits for; give its calls a time limit, or stop the run.",
}


class Over(Mutable):
    """A budget that is used up: since which step, and with how much it is told of next."""

    since: StepRef
    told_from: float


@detector(pattern="budget", severity=Severity.MEDIUM)
class Budget(Detector):
    """The run has used more than its budget.

    Definition: `steps`: more than `max_steps` steps. `tokens`: its steps used more than `max_tokens` tokens, those from
        a cache included. `cost`: they cost more than `max_cost_usd`, as the sender says, else as estimated. `time`: it
        worked for more than `max_work_s`, which is the time from its first step on, without that in which a person's
        words or decision were waited for, nor pauses of more than `max_pause_s` without any step, after which a run
        counts as over. One finding for each budget; it is told of again, as high, whenever the run has used twice as
        much. `session_steps`, `session_tokens`, `session_cost`, `session_time`: the same of a session, which is this
        run with what the other runs had used by then, beyond `max_session_steps`, `max_session_tokens`,
        `max_session_cost_usd` or `max_session_work_s`; 0 is no budget. One finding for a session and budget, on the
        run that went beyond it.
    Input: steps with their tokens, costs and times; the sums of the session's other runs.
    Misses: model calls of unknown price or without tokens; time in which no step comes; whatever spans cost that are
        no steps. Of other runs, the time is that from first to last span. Without real times, time is not judged.
    Source: a rule of this project: the budgets of a run (steps, tokens, money, time). The numbers are generous by
        choice: many times what any labelled run used that passed. A project sets its own.
    """

    kinds = (
        *("steps", "tokens", "cost", "time"),
        *("session_steps", "session_tokens", "session_cost", "session_time"),
    )

    class Thresholds(Frozen):
        max_steps: Annotated[int, Meta(ge=1, le=10_000_000)] = 2_000
        max_tokens: Annotated[int, Meta(ge=1, le=1_000_000_000_000)] = 20_000_000
        max_cost_usd: Annotated[float, Meta(gt=0, le=1_000_000)] = 50.0
        max_work_s: Annotated[float, Meta(gt=0, le=31_536_000)] = 28_800.0
        max_pause_s: Annotated[float, Meta(gt=0, le=86_400)] = 600.0
        max_session_steps: Annotated[int, Meta(ge=0, le=10_000_000, extra=NO_BUDGET)] = 0
        max_session_tokens: Annotated[int, Meta(ge=0, le=1_000_000_000_000, extra=NO_BUDGET)] = 0
        max_session_cost_usd: Annotated[float, Meta(ge=0, le=1_000_000, extra=NO_BUDGET)] = 0.0
        max_session_work_s: Annotated[float, Meta(ge=0, le=31_536_000, extra=NO_BUDGET)] = 0.0

    class State(Mutable):
        first: StepRef | None = None
        steps: int = 0
        tokens: int = 0
        cost_usd: float = 0.0
        estimated_usd: float = 0.0
        unpriced: int = 0  # model calls whose cost nobody knows
        work_s: float = 0.0
        until_s: float | None = None  # when what came so far had ended
        untimed: int = 0
        over: dict[str, Over] = {}  # by budget

    def see(self, step: Step) -> Iterator[Hit]:
        state, most = self.state, self.thresholds
        state.first = state.first or step.ref
        self._add(step)
        for kind, used, limit in (
            ("steps", state.steps, most.max_steps),
            ("tokens", state.tokens, most.max_tokens),
            ("cost", state.cost_usd, most.max_cost_usd),
            ("time", state.work_s, most.max_work_s),
        ):
            if used > limit:
                yield from self._weigh(step, kind, used, limit)
        if self.session is not None:
            yield from self._see_session(step, self.session)

    def judges_session(self) -> bool:
        most = self.thresholds
        return bool(
            most.max_session_steps or most.max_session_tokens or most.max_session_cost_usd or most.max_session_work_s
        )

    def _see_session(self, step: Step, others: SessionSoFar) -> Iterator[Hit]:
        state, most = self.state, self.thresholds
        for kind, used, limit in (
            ("session_steps", state.steps + others.steps, most.max_session_steps),
            ("session_tokens", state.tokens + others.tokens, most.max_session_tokens),
            ("session_cost", state.cost_usd + others.cost_usd, most.max_session_cost_usd),
            ("session_time", state.work_s + others.work_s, most.max_session_work_s),
        ):
            if limit and used > limit:
                yield from self._weigh(step, kind, used, limit)

    def _add(self, step: Step) -> None:
        state = self.state
        state.steps += 1
        state.tokens += step.tokens or 0
        if step.cost_usd is not None:
            state.cost_usd += step.cost_usd
            state.estimated_usd += step.cost_usd if step.is_cost_estimated else 0.0
        elif step.event_type == "model_response" and not step.is_error:
            state.unpriced += 1
        if not step.is_timed:
            state.untimed += 1
            return
        until_s = max(step.ended_at_s or step.at_s, step.at_s)
        before_s = step.at_s if state.until_s is None else state.until_s
        if step.at_s - before_s > self.thresholds.max_pause_s:
            before_s = step.at_s
        if step.event_type != "human_gate":
            state.work_s += max(until_s - before_s, 0.0)
        state.until_s = max(until_s, before_s)

    def _weigh(self, step: Step, kind: str, used: float, limit: float) -> Iterator[Hit]:
        over = self.state.over.get(kind)
        if over is not None and used < over.told_from:
            return
        is_first = over is None
        over = over or Over(step.ref, used)
        over.told_from = max(used, limit, over.told_from) * GROWTH
        self.state.over[kind] = over
        first = self.state.first or NOWHERE
        budget, of_session = kind.removeprefix(SESSION), kind.startswith(SESSION)
        yield Hit(
            kind,
            onset=over.since,
            last=step.ref,
            say=f"{self._who(of_session)} {_used(budget, used)}; its budget is {_limit(budget, limit)}. "
            f"{self._so_far(budget, of_session=of_session)}",
            next=NEXT[budget],
            evidence=tuple(dict.fromkeys([first.span_id, over.since.span_id, step.span_id])),
            severity=None if is_first else Severity.HIGH,
            of_session=of_session,
        )

    def _who(self, of_session: bool) -> str:
        """Name what went beyond its budget."""
        if not of_session:
            return "The run"
        runs = self.session.runs + 1 if self.session else 1
        return f"The session, {runs:,} run{'' if runs == 1 else 's'} so far,"

    def _so_far(self, kind: str, *, of_session: bool) -> str:
        """Return what this run cost until this step, and how much of that is known."""
        state = self.state
        steps = f", with {state.steps:,} steps" if kind != "steps" else ""
        known = f"${state.cost_usd:,.2f}" if state.cost_usd or not state.unpriced else "not known"
        estimated = f", ${state.estimated_usd:,.2f} of it estimated" if state.estimated_usd else ""
        calls = f"{state.unpriced:,} model call{'' if state.unpriced == 1 else 's'}"
        unpriced = f"; what {calls} cost is unknown" if state.unpriced and state.cost_usd else ""
        whose = "Cost of this run so far" if of_session else "Cost so far"
        return f"{whose}{steps}: {known}{estimated}{unpriced}."

    def coverage(self) -> Iterable[str]:
        if self.state.untimed:
            yield "no real times in this trace: the budget of time is off"
        if self.state.unpriced:
            yield f"what {self.state.unpriced:,} model calls cost is unknown: the budget of money counts the others"


def _used(kind: str, used: float) -> str:
    return {
        "steps": f"has taken {used:,.0f} steps",
        "tokens": f"has used {used:,.0f} tokens",
        "cost": f"has cost ${used:,.2f}",
        "time": f"has worked for {_hours(used)}",
    }[kind]


def _limit(kind: str, limit: float) -> str:
    return {"cost": f"${limit:,.2f}", "time": _hours(limit)}.get(kind, f"{limit:,.0f}")


def _hours(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600} h {whole % 3600 // 60} min" if whole >= 3600 else f"{whole // 60} min {whole % 60} s"
