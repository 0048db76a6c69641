"""The scripts that the model plays: one file each, found by being here, named by the file.

A script is `play(talk)`, which reads the conversation and returns the next turn. It keeps no state, so that a turn that
is asked for again is answered alike, with fresh ids; and it acts on what its calls gave, errors and rejections too.
"""

import pkgutil
from collections.abc import Callable
from functools import cache
from importlib import import_module

from agentops.runtime.sandbox.conversation import Conversation, Turn

Play = Callable[[Conversation], Turn]
DEFAULT = "healthy"


@cache
def scenarios() -> dict[str, Play]:
    """Return every script by its name."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {name: import_module(f"{__name__}.{name}").play for name in names}
