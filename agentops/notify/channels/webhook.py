"""A signed HTTP POST, as Standard Webhooks 1.0 describes it."""

import base64
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from agentops.notify.channels.base import Envelope, Field, FieldError, Kind, Outcome, checked_url, outcome_of
from agentops.notify.models import Channel
from agentops.outbound import client

PREFIX = "whsec_"
_HEADER = re.compile(r"([A-Za-z0-9-]{1,60}):[ \t]*([!-~][ -~]{0,1000})")
_OURS = ("webhook-", "content-", "host", "connection", "transfer-encoding", "accept-encoding", "user-agent")


def checked_header(text: str) -> str:
    match = _HEADER.fullmatch(text.strip())
    if not match:
        raise FieldError("Write one header as Name: value.")
    if match[1].lower().startswith(_OURS):
        raise FieldError(f"The header {match[1]} is ours to set.")
    return f"{match[1]}: {match[2].rstrip()}"


class Webhook(Kind):
    """Posts JSON and signs it, so that the receiver knows that it is ours, whole and fresh.

    Body: `{"type": "alert.opened", "timestamp": "2026-03-16T12:00:00Z", "data": {"id", "kind", "severity", "title",
    "body", "url", "more"}}`. `type` is what happened, `timestamp` when, `id` what it is about, `more` how many other
    messages it stands for. Headers: `webhook-id` (the same in each attempt), `webhook-timestamp` (this attempt),
    `webhook-signature` (`v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body` with the decoded secret).
    """

    name = "webhook"
    label = "Webhook"
    shown_once = "signing"
    fields = (
        Field(
            "url",
            "Address",
            "called with POST for each message",
            checked_url,
            is_target=True,
            example="https://hooks.example.com/agentops",
        ),
        Field(
            "header",
            "One more header",
            "kept encrypted, never shown again",
            checked_header,
            is_secret=True,
            is_required=False,
            example="Authorization: Bearer XXXX",
        ),
    )

    def make_secrets(self) -> dict[str, str]:
        return {self.shown_once: PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()}

    def describe(self, config: Mapping[str, str]) -> str:
        return urlsplit(config.get("url", "")).hostname or ""

    def send(self, channel: Channel, envelope: Envelope) -> Outcome:
        given = channel.secrets()
        body = render(envelope)
        headers = {"content-type": "application/json", **sign(given[self.shown_once], envelope.id, body)}
        if header := given.get("header"):
            name, _, value = header.partition(": ")
            headers[name] = value
        return outcome_of(client.request("POST", channel.config["url"], headers=headers, body=body))


def render(envelope: Envelope) -> bytes:
    message = envelope.message
    data = {
        "id": message.id,
        "kind": message.kind,
        "severity": message.severity,
        "title": envelope.title,
        "body": message.body,
        "url": message.address,
        "more": envelope.more,
    }
    return msgspec.json.encode({"type": message.kind, "timestamp": envelope.created_at, "data": data})


def sign(secret: str, message_id: str, body: bytes) -> dict[str, str]:
    timestamp = str(int(time.time()))
    signed = b".".join([message_id.encode(), timestamp.encode(), body])
    digest = hmac.digest(base64.b64decode(secret.removeprefix(PREFIX)), signed, hashlib.sha256)
    signature = base64.b64encode(digest).decode()
    return {"webhook-id": message_id, "webhook-timestamp": timestamp, "webhook-signature": f"v1,{signature}"}
