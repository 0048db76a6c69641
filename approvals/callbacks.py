"""Telling an agent elsewhere, at its own address, that its approval waits no longer; signed as Standard Webhooks."""

import base64

import msgspec
from django.conf import settings
from django.utils.crypto import salted_hmac

from agentops.notify.channels.webhook import PREFIX, sign
from agentops.outbound import client
from approvals.models import Approval
from approvals.wire import full

TYPE = "approval.decided"
WELL = range(200, 300)


class NotTakenError(Exception):
    """The receiver did not take the callback; the message says what it answered."""


def secret_of(approval_id: str) -> str:
    """Return the secret that callbacks about this approval are signed with; it is made again, never stored."""
    made = salted_hmac("agentops.approvals.callback", approval_id, secret=settings.SECRET_KEY, algorithm="sha256")
    return PREFIX + base64.b64encode(made.digest()).decode()


def message_id(approval: Approval) -> str:
    """Name this news, alike in each attempt; an approval that was given and not used in time ends twice."""
    return f"approval_{approval.pk.hex}_{approval.status}"


def call(approval: Approval) -> None:
    """Post the approval, as the API gives it, to its agent. Raises OutboundError or NotTakenError."""
    data = full(approval)
    body = msgspec.json.encode({"type": TYPE, "timestamp": approval.decided_at, "data": data})
    headers = {"content-type": "application/json", **sign(secret_of(str(approval.pk)), message_id(approval), body)}
    answer = client.request("POST", approval.callback_url, headers=headers, body=body)
    if answer.status not in WELL:
        raise NotTakenError(f"The receiver answered {answer.status}.")
