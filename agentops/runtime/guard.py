"""The guard against repetition: the identical call twice in a row tells an agent nothing new."""

from typing import Any

import msgspec

TRIES = 2  # a call that failed may be made once more as it is


def same_call_key(tool: str, arguments: Any) -> bytes:
    """Return what is equal for equal calls, in whatever order of keys."""
    return msgspec.json.encode([tool, arguments], order="deterministic")


class Guard:
    """Remembers the last call. One that failed may be repeated once: the second time may go well."""

    def __init__(self) -> None:
        self._last: bytes | None = None
        self._in_a_row = 0
        self._has_failed = False

    def refusal(self, tool: str, arguments: Any) -> dict[str, Any] | None:
        """Count a call that is about to be made; return why it may not be, as a tool result, or None."""
        key = same_call_key(tool, arguments)
        self._in_a_row = self._in_a_row + 1 if key == self._last else 1
        self._last, may_repeat = key, self._has_failed and self._in_a_row <= TRIES
        self._has_failed = False
        if self._in_a_row == 1 or may_repeat:
            return None
        return {
            "status": "repeated_call",
            "tool": tool,
            "reason": "This is the same call, with the same arguments, as the one before.",
            "advice": "Its result is above. Call with other arguments, take another tool, or answer.",
        }

    def note(self, *, is_ok: bool) -> None:
        """Say how the last call ended."""
        self._has_failed = not is_ok
