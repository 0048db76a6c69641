"""Discord, by a webhook of a channel: the message as one embed."""

import re
from typing import Any

import msgspec

from agentops.notify.channels.base import Envelope, Field, Kind, Outcome, Result, checked_url, outcome_of
from agentops.notify.models import Channel
from agentops.notify.wording import fitted, revealed
from agentops.outbound import client

# https://discord.com/developers/docs/resources/message#embed-object-embed-limits
TITLE, BODY = 256, 4_096
COLOURS = {"critical": 0xC62828, "high": 0xD9730D, "medium": 0xB58900, "low": 0x6B7280}
# Markdown, mentions and addresses all begin with one of these, and a backslash takes its meaning from each.
_MARKUP = re.compile(r"[!-/:-@\[-`{-~]")


class Discord(Kind):
    """Posts an embed whose text is escaped, with all mentions switched off.

    A webhook that does not exist answers 404. Discord restricts whoever goes on calling it, so it counts as gone.
    """

    name = "discord"
    label = "Discord"
    fields = (
        Field(
            "url",
            "Webhook address",
            "from Edit Channel, Integrations, Webhooks; kept encrypted, never shown again",
            checked_url,
            is_secret=True,
            is_target=True,
            example="https://discord.com/api/webhooks/000/XXXX",
        ),
    )

    def send(self, channel: Channel, envelope: Envelope) -> Outcome:
        headers = {"content-type": "application/json"}
        answer = client.request("POST", channel.secrets()["url"], headers=headers, body=render(envelope))
        return Outcome(Result.GONE, "404") if answer.status == 404 else outcome_of(answer)


def render(envelope: Envelope) -> bytes:
    message = envelope.message
    embed: dict[str, Any] = {
        "title": fitted(revealed(envelope.title), TITLE, _escaped),
        "color": COLOURS.get(message.severity, COLOURS["low"]),
        "timestamp": envelope.created_at,
        "footer": {"text": f"AgentOps, severity {message.severity}"},
    }
    if message.body:
        embed["description"] = fitted(revealed(message.body), BODY, _escaped)
    if message.address:
        embed["url"] = message.address
    return msgspec.json.encode({"embeds": [embed], "allowed_mentions": {"parse": []}})


def _escaped(text: str) -> str:
    return _MARKUP.sub(r"\\\g<0>", text)
