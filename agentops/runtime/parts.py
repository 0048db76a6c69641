"""What the engine is given: the agent with its tools, and the model. Tests give their own."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from agentops.runtime.tools.base import Tool


class Usage(Protocol):
    @property
    def input_tokens(self) -> int: ...
    @property
    def output_tokens(self) -> int: ...
    @property
    def cached_tokens(self) -> int: ...


class Answer(Protocol):
    """What a model answered; see llm.Answer."""

    @property
    def content(self) -> list[dict[str, Any]]: ...
    @property
    def stop_reason(self) -> str | None: ...
    @property
    def usage(self) -> Usage: ...
    @property
    def model(self) -> str: ...
    @property
    def simulated(self) -> bool: ...
    @property
    def cost_usd(self) -> Decimal | None: ...


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What the model is asked in one turn, in the terms of the Messages API."""

    model: str
    system: str
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    max_tokens: int = 4_096
    run_id: str = ""
    scenario: str | None = None


class ModelFailedError(Exception):
    """The model gave no answer that can be used. `is_fatal`: asking again is of no use."""

    def __init__(self, message: str, *, retry_after_s: float | None = None, is_fatal: bool = False) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.is_fatal = is_fatal


class Model(Protocol):
    def __call__(self, question: Question) -> Answer:
        """Answer, outside any transaction. Raises ModelFailedError."""
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
    tools: Mapping[str, Tool]
    hashes: Mapping[str, str]  # the definition of each tool
    model: Model
