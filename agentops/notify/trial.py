"""Testing a channel: one message that says it is a test, at once, whose outcome changes nothing."""

import time

import msgspec
from django.http import HttpRequest
from django.utils import timezone
from uuid_utils.compat import uuid7

from agentops.accounts.models import User
from agentops.audit import services as audit
from agentops.notify.channels.base import Envelope, kinds
from agentops.notify.deliver import try_once
from agentops.notify.message import Message
from agentops.notify.models import Channel


class Tried(msgspec.Struct, frozen=True):
    """All that is told of a test: whether it arrived, a few words, and how long it took."""

    is_delivered: bool
    status: str
    took_s: float


def try_channel(channel: Channel, *, by: User, request: HttpRequest | None = None) -> Tried:
    """Send a test and return how it went. What a receiver opens for it is closed at once."""
    message = Message(
        kind="channel.test", id=f"channel:{channel.pk}", title=f"A test of the channel {channel.name}", url="/"
    )
    begun = time.monotonic()
    outcome = try_once(channel, _envelope(message))
    took_s = time.monotonic() - begun
    if outcome.is_delivered and kinds()[channel.kind].follows:
        try_once(channel, _envelope(msgspec.structs.replace(message, phase="resolved")))
    detail = {"status": outcome.status}
    audit.record("channel.tested", actor=by, project=channel.project_id, target=channel, detail=detail, request=request)
    return Tried(outcome.is_delivered, outcome.status, took_s)


def _envelope(message: Message) -> Envelope:
    return Envelope(f"msg_{uuid7().hex}", message.cleaned(), timezone.now())
