"""What a person is told, before any channel has given it its shape."""

import re
from typing import Literal
from urllib.parse import urljoin

import msgspec
from django.conf import settings

Phase = Literal["opened", "acknowledged", "resolved"]

LONGEST_TITLE = 300
LONGEST_BODY = 4_000

# Line breaks and controls: a title is one line everywhere, in a header as in a log.
_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to tell. Messages with one `id` reach a channel in the order in which they were given.

    `kind` says by name what happened (`alert.opened`), `severity` is low, medium, high or critical, `url` is a path of
    this installation. `phase` says how the thing stands that `id` names, for receivers that keep a state of their own.
    `about` are the pairs of pattern and agent that it tells of, by which channels may choose. Title and body may hold
    text from outside: each channel escapes it in its own way.
    """

    kind: str
    id: str
    title: str
    body: str = ""
    severity: str = "low"
    url: str = ""
    phase: Phase = "opened"
    about: tuple[tuple[str, str], ...] = ()

    def cleaned(self) -> "Message":
        """Return the message as it can be stored and sent: a title of one line, nothing longer than people read."""
        title = _BREAKS.sub(" ", _storable(self.title)).strip()
        body = _CONTROLS.sub("", _storable(self.body).replace("\r\n", "\n")).strip()
        return msgspec.structs.replace(self, title=_cut(title, LONGEST_TITLE), body=_cut(body, LONGEST_BODY))

    @property
    def subjects(self) -> tuple[tuple[str, str], ...]:
        """What it is about; one that tells of no pattern is about its kind, such as `approval`, and of no agent."""
        return self.about or ((self.kind.partition(".")[0], ""),)

    @property
    def address(self) -> str:
        """The whole address of `url`, for people who read it elsewhere."""
        return urljoin(settings.ENV.agentops_public_url, self.url) if self.url else ""


def _storable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
