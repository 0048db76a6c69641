"""Named places in which a test may end or stop the process, to see what the next one makes of it.

AGENTOPS_FAILPOINTS holds `name:kill`, `name:stop` or, at the second hit, `name:kill:2`; several are separated by
commas. Without the variable a place costs one comparison.
"""

import os
import signal
from collections import Counter

_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}
_hits: Counter[str] = Counter()


_wanted: dict[str, tuple[signal.Signals, int]] = {}


def arm(text: str) -> None:
    """Take these places beside those that are armed already."""
    for part in filter(None, text.split(",")):
        name, action, *rest = part.split(":")
        _wanted[name] = _SIGNALS[action], int(rest[0]) if rest else 1


arm(os.environ.get("AGENTOPS_FAILPOINTS", ""))


def failpoint(name: str) -> None:
    """Do here what the environment asks for: nothing, or a signal to this process."""
    if _wanted and name in _wanted:
        number, at = _wanted[name]
        _hits[name] += 1
        if _hits[name] == at:
            os.kill(os.getpid(), number)
