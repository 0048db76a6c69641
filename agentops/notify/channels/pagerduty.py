"""PagerDuty, by its Events API v2: an incident for each alert, which is acknowledged and resolved with it."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec
from django.conf import settings

from agentops.notify.channels.base import Envelope, Field, FieldError, Kind, Outcome, Result, checked_url, outcome_of
from agentops.notify.models import Channel
from agentops.notify.wording import fitted, revealed
from agentops.outbound import client

# https://developer.pagerduty.com/docs/events-api-v2-overview
SUMMARY, KEY = 1_024, 255
ACTIONS = {"opened": "trigger", "acknowledged": "acknowledge", "resolved": "resolve"}
SEVERITIES = {"critical": "critical", "high": "error", "medium": "warning", "low": "info"}
_ROUTING_KEY = re.compile(r"[A-Za-z0-9]{32}")


def checked_routing_key(text: str) -> str:
    if not _ROUTING_KEY.fullmatch(text.strip()):
        raise FieldError("An integration key has 32 letters and digits.")
    return text.strip()


class PagerDuty(Kind):
    """Sends events whose `dedup_key` is the id of the alert, so that every event about it is of one incident."""

    name = "pagerduty"
    label = "PagerDuty"
    follows = True
    fields = (
        Field(
            "routing_key",
            "Integration key",
            "from the service's Integrations, Events API V2; kept encrypted, never shown again",
            checked_routing_key,
            is_secret=True,
            example="0123456789abcdef0123456789abcdef",
        ),
        Field(
            "url",
            "Events address",
            "accounts in the EU: https://events.eu.pagerduty.com/v2/enqueue",
            checked_url,
            is_target=True,
            initial="https://events.pagerduty.com/v2/enqueue",
        ),
    )

    def describe(self, config: Mapping[str, str]) -> str:
        return urlsplit(config.get("url", "")).hostname or ""

    def send(self, channel: Channel, envelope: Envelope) -> Outcome:
        body = render(envelope, channel.secrets()["routing_key"])
        headers = {"content-type": "application/json"}
        answer = client.request("POST", channel.config["url"], headers=headers, body=body)
        if answer.status == 400 and b"routing_key" in answer.body:
            return Outcome(Result.CHANNEL_FAILED, "key refused")
        return outcome_of(answer)


def render(envelope: Envelope, routing_key: str) -> bytes:
    message = envelope.message
    event: dict[str, Any] = {
        "routing_key": routing_key,
        "event_action": ACTIONS[message.phase],
        "dedup_key": message.id.removeprefix("alert:")[:KEY],
    }
    if message.phase == "opened":
        event["payload"] = {
            "summary": fitted(revealed(envelope.title), SUMMARY),
            "source": settings.ENV.public_host,
            "severity": SEVERITIES.get(message.severity, "warning"),
            "timestamp": envelope.created_at,
            "class": message.kind,
            "custom_details": {"details": revealed(message.body)},
        }
        event["client"] = "AgentOps"
        if message.address:
            event["client_url"] = message.address
            event["links"] = [{"href": message.address, "text": "Open in AgentOps"}]
    return msgspec.json.encode(event)
