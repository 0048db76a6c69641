"""What a channel is: a file in this folder with one subclass of Kind. Nothing else lists it."""

import importlib
import pkgutil
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from functools import cache
from typing import ClassVar

import agentops.notify.channels
from agentops.notify.message import Message
from agentops.notify.models import Channel
from agentops.outbound import guard
from agentops.outbound.address import parse
from agentops.outbound.client import Answer
from agentops.outbound.errors import OutboundError

LONGEST_RETRY_AFTER_S = 3_600.0
_SECONDS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?")


class FieldError(ValueError):
    """What was typed cannot be used; the text is for the person who typed it."""


@dataclass(frozen=True, slots=True)
class Field:
    """What a person types to set a channel up.

    `check` returns the value as it is kept or raises FieldError. A secret field is sealed and never shown again. When
    a `target` field changes, every secret is dropped: it was given for another receiver. `initial` stands in the form
    of a new channel, `example` in an empty control.
    """

    name: str
    label: str
    help: str = ""
    check: Callable[[str], str] = str
    is_secret: bool = False
    is_required: bool = True
    is_target: bool = False
    initial: str = ""
    example: str = ""


class Result(Enum):
    DELIVERED = "delivered"
    CHANNEL_FAILED = "the receiver is in trouble: everything for it waits"
    MESSAGE_REFUSED = "the receiver does not take this message: only it waits"
    GONE = "the receiver wants nothing any more"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended; `status` is the few words that people are shown: "2xx", "timed out"."""

    result: Result
    status: str
    retry_after_s: float | None = None

    @property
    def is_delivered(self) -> bool:
        return self.result is Result.DELIVERED


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message on its way. `id` is the same in each attempt; `more` others travel inside it."""

    id: str
    message: Message
    created_at: datetime
    more: int = 0

    @property
    def title(self) -> str:
        return f"{self.message.title}, and {self.more:,} more" if self.more else self.message.title


class Kind(ABC):
    """One way to send. Stateless: what it needs is in the channel's config and secrets."""

    name: ClassVar[str]
    label: ClassVar[str]
    fields: ClassVar[tuple[Field, ...]] = ()
    is_offered: ClassVar[bool] = True  # False: made by the product itself
    shown_once: ClassVar[str] = ""  # the secret that we make and a person copies to the receiver
    # True: keeps a state of its own for each thing, so it also hears what people did about it, and gets each message
    # by itself, never inside another.
    follows: ClassVar[bool] = False

    @abstractmethod
    def send(self, channel: Channel, envelope: Envelope) -> Outcome:
        """Try once. May raise OutboundError and UnreadableError."""

    def make_secrets(self) -> dict[str, str]:
        """Return the secrets that are ours to make, for a new receiver."""
        return {}

    def missing(self) -> str:
        """Return the sentence that says what this installation lacks for it, or nothing."""
        return ""

    def describe(self, config: Mapping[str, str]) -> str:
        """Say where the channel leads, in words that anybody in the project may read."""
        return ""


def checked_url(text: str) -> str:
    """Refuse what can be refused without asking the network; names are checked at each request."""
    try:
        guard.check(parse(text))
    except OutboundError as error:
        raise FieldError(str(error)) from None
    return text


def outcome_of(answer: Answer) -> Outcome:
    """Judge an HTTP answer by its status alone. Redirects are failures."""
    status, words = answer.status, f"{answer.status // 100}xx"
    if 200 <= status < 300:
        return Outcome(Result.DELIVERED, words)
    if status == 410:
        return Outcome(Result.GONE, "410")
    if status in {400, 406, 409, 411, 412, 413, 414, 415, 422, 431}:
        return Outcome(Result.MESSAGE_REFUSED, words)
    return Outcome(Result.CHANNEL_FAILED, words, retry_after_s(answer.headers.get("retry-after", "")))


def retry_after_s(value: str) -> float | None:
    """Return how long the receiver asks us to wait, by seconds or by date, an hour at most; None if it does not say."""
    try:
        seconds = float(value) if _SECONDS.fullmatch(value) else _until(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_S)


def _until(date: str) -> float:
    return (parsedate_to_datetime(date).replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds()


@cache
def kinds() -> dict[str, Kind]:
    """Every kind of channel, by name: one for each file in this folder."""
    package = agentops.notify.channels
    names = [module.name for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")]
    for name in names:
        importlib.import_module(name)
    found = [subclass() for subclass in Kind.__subclasses__() if subclass.__module__ in names]  # type: ignore[abstract]
    return {kind.name: kind for kind in sorted(found, key=lambda kind: kind.name)}
