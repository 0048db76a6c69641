"""What the engine is given: the agent with its tools, and the model. Tests give their own."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from agentops.runtime.llm import Answer, Request
from agentops.runtime.tools.base import Tool


class Model(Protocol):
    def __call__(self, request: Request) -> Answer:
        """Answer, outside any transaction. Raises llm.ModelError."""
        ...


@dataclass(frozen=True)
class Pause:
    """A run can go no further now: look again after a while, or, with None, when its job is touched."""

    after: timedelta | None = None


@dataclass(frozen=True)
class Parts:
    """Everything that one run is made of."""

    system: str
    model_name: str
    max_tokens: int  # of one answer
    tools: Mapping[str, Tool]
    hashes: Mapping[str, str]  # the definition of each tool
    model: Model
