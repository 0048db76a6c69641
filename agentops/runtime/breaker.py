"""The circuit breaker: a tool that is called too often is refused for a while, then tried with one call."""

import time
from typing import Any

import msgspec


class _Line(msgspec.Struct):
    """What is remembered of one tool."""

    let_through: list[float] = []
    opened_at: float | None = None
    is_probing: bool = False


class Breaker:
    """At most `max_calls` calls of one tool in `window_s` seconds; the next one opens the circuit for `rest_s`.

    After the rest one call is let through (half-open): when it ends well the circuit is closed, else it rests again.
    Times are seconds of any clock that the caller keeps to.
    """

    def __init__(self, *, max_calls: int = 5, window_s: float = 60.0, rest_s: float = 60.0) -> None:
        self.max_calls = max_calls
        self.window_s = window_s
        self.rest_s = rest_s
        self._lines: dict[str, _Line] = {}

    def refusal(self, tool: str, *, now_s: float | None = None) -> dict[str, Any] | None:
        """Count a call that is about to be made; return why it may not be, as a tool result, or None."""
        now_s = time.monotonic() if now_s is None else now_s
        line = self._lines.setdefault(tool, _Line())
        if line.opened_at is None:
            line.let_through = [at for at in line.let_through if now_s - at < self.window_s]
            if len(line.let_through) < self.max_calls:
                line.let_through.append(now_s)
                return None
            line.opened_at = now_s
        elif not line.is_probing and now_s - line.opened_at >= self.rest_s:
            line.is_probing = True
            return None
        return self._open(tool, max(line.opened_at + self.rest_s - now_s, 0.0))

    def note(self, tool: str, *, is_ok: bool, now_s: float | None = None) -> None:
        """Say how a call that was let through ended; it matters for the one that tries a resting tool."""
        line = self._lines.get(tool)
        if line is None or not line.is_probing:
            return
        now_s = time.monotonic() if now_s is None else now_s
        line.is_probing = False
        line.opened_at = None if is_ok else now_s
        line.let_through = [now_s]

    def _open(self, tool: str, left_s: float) -> dict[str, Any]:
        return {
            "status": "circuit_open",
            "tool": tool,
            "reason": f"{tool} was called {self.max_calls} times within {self.window_s:g} s.",
            "retry_after_s": round(left_s, 1),
            "advice": "Use what the calls so far returned, take another tool, or finish with what is known.",
        }
