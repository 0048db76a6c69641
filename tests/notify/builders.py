"""Channels, messages and time travel for the tests of notify."""

from datetime import timedelta
from itertools import count
from typing import Any

from django.db.models import F

from agentops.accounts.models import Project
from agentops.notify.channels.webhook import Webhook
from agentops.notify.message import Message
from agentops.notify.models import Channel, Delivery
from agentops.notify.sealing import seal
from tests.builders import make_project

_number = count(1)


def make_channel(project: Project | None = None, url: str = "https://hooks.example.com/", **fields: Any) -> Channel:
    """Make a webhook; `secrets` are added to the signing secret."""
    secrets = Webhook().make_secrets() | fields.pop("secrets", {})
    given = {"name": f"hook {next(_number)}", "kind": "webhook", "config": {"url": url}, "sealed": seal(secrets)}
    return Channel.objects.create(project=project or make_project(), **(given | fields))


def make_message(title: str = "refund-bot called one tool nine times", **fields: Any) -> Message:
    given = {"kind": "alert.opened", "id": f"alert-{next(_number)}", "severity": "high", "url": "/alerts/1"}
    return Message(title=title, **(given | fields))


def let_pass(**length: float) -> None:
    """Make every time of the outbox so much older, as if that much had passed."""
    ago = timedelta(**length)
    Delivery.objects.update(next_attempt_at=F("next_attempt_at") - ago, created_at=F("created_at") - ago)
    Channel.objects.update(retry_at=F("retry_at") - ago, failing_since=F("failing_since") - ago)
