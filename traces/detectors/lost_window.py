"""context_drift: the model's context collapses, and the agent does again what it no longer remembers."""

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

from traces.detectors.base import Detector, Frozen, Hit, Mutable, Severity, Step, StepRef, detector

KEPT_CALLS, KEPT_AGENTS, KEPT_REPEATS = 150, 6, 20  # so that the state is bounded

Call = tuple[int, int]  # hashes of arguments and result


class Window(Mutable):
    """What one agent's context was, and what it did with it."""

    peak: int = 0  # tokens
    calls: list[Call] = []  # before the collapse
    collapse: StepRef | None = None
    size: int = 0  # tokens after the collapse
    again: list[str] = []  # spans of calls that were made before
    since: int = 0  # calls since the collapse


@detector(pattern="context_drift", severity=Severity.LOW)
class LostWindow(Detector):
    """The context of an agent shrinks, and the agent asks again what it had been told.

    Definition: the context of an agent's model calls falls to `max_share` of its largest so far, which had at least
        `min_tokens`, and of the next `within_calls` tool calls `min_repeats` had been made before with the same
        arguments and the same result. A message from a person starts anew.
    Input: context sizes of model steps; arguments and results of tools.
    Misses: traces without context sizes; agents that lose what they knew and never ask for it again; different agents
        that go by one name.
    Source: a rule of this project; "memory loss" is failure mode 1.4 of MAST, Cemri et al. 2025, arXiv:2503.13657. No
        labelled run has context sizes, so the severity is low and the numbers are a choice.
    """

    kinds = ("window",)

    class Thresholds(Frozen):
        max_share: Annotated[float, Meta(gt=0, lt=1)] = 0.5
        min_tokens: Annotated[int, Meta(ge=0, le=10_000_000)] = 4_000
        within_calls: Annotated[int, Meta(ge=1, le=100)] = 10
        min_repeats: Annotated[int, Meta(ge=1, le=50)] = 3

    class State(Mutable):
        windows: dict[str, Window] = {}

    def see(self, step: Step) -> Iterator[Hit]:
        if step.is_user_turn:
            self.state.windows = {}
        if step.event_type == "model_response" and step.context_tokens:
            self._measure(step, step.context_tokens)
        elif step.event_type == "tool_call" and step.arguments_hash is not None and step.result_hash is not None:
            yield from self._repeat(step, (step.arguments_hash, step.result_hash))

    def _measure(self, step: Step, tokens: int) -> None:
        window = self._window(step)
        is_cut = window.peak >= self.thresholds.min_tokens and tokens <= self.thresholds.max_share * window.peak
        if is_cut and window.collapse is None:
            window.collapse, window.size = step.ref, tokens
        window.peak = max(window.peak, tokens)

    def _repeat(self, step: Step, call: Call) -> Iterator[Hit]:
        window = self._window(step)
        if window.collapse is None:
            window.calls = [*window.calls, call][-KEPT_CALLS:]
            return
        window.since += 1
        if window.since > self.thresholds.within_calls:
            self.state.windows.pop(step.agent or "")
            return
        if call not in window.calls:
            return
        window.again = [*window.again, step.span_id][-KEPT_REPEATS:]
        if len(window.again) >= self.thresholds.min_repeats:
            yield Hit(
                "window",
                onset=window.collapse,
                last=step.ref,
                say=f"The context fell from {window.peak:,} to {window.size:,} tokens, and {len(window.again)} calls "
                "were made again that had been answered the same way before.",
                next="Keep what the agent found out when its context is cut: a summary, or results by reference.",
                evidence=(window.collapse.span_id, *window.again),
                tool=step.tool_name,
            )

    def _window(self, step: Step) -> Window:
        windows: dict[str, Window] = self.state.windows
        window = windows.setdefault(step.agent or "", Window())
        if len(windows) > KEPT_AGENTS:
            del windows[next(iter(windows))]
        return window
