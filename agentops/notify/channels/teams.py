"""Microsoft Teams, by a workflow that posts what a webhook receives: the message as an adaptive card."""

from typing import Any

import msgspec

from agentops.notify.channels.base import Envelope, Field, Kind, Outcome, checked_url, outcome_of
from agentops.notify.models import Channel
from agentops.notify.wording import fitted, unlinked
from agentops.outbound import client

# A message has at most 28 kB, and a character up to three bytes for each UTF-16 unit.
TITLE, BODY, LINES = 500, 5_000, 20
COLOURS = {"critical": "attention", "high": "attention", "medium": "warning"}


class Teams(Kind):
    """Posts a card. Text from outside stands in text runs, where Teams knows no Markdown, and has no links in it."""

    name = "teams"
    label = "Microsoft Teams"
    fields = (
        Field(
            "url",
            "Workflow address",
            "from Workflows, Send webhook alerts to a channel; kept encrypted, never shown again",
            checked_url,
            is_secret=True,
            is_target=True,
            example="https://prod-00.westeurope.logic.azure.com:443/workflows/XXXX",
        ),
    )

    def send(self, channel: Channel, envelope: Envelope) -> Outcome:
        headers = {"content-type": "application/json"}
        return outcome_of(client.request("POST", channel.secrets()["url"], headers=headers, body=render(envelope)))


def render(envelope: Envelope) -> bytes:
    message = envelope.message
    title = fitted(unlinked(envelope.title), TITLE)
    colour = COLOURS.get(message.severity, "default")
    body = [_text(title, size="large", weight="bolder"), _text(f"Severity: {message.severity}", color=colour)]
    body += [_text(line) for line in fitted(unlinked(message.body), BODY).split("\n", LINES - 1) if line]
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "fallbackText": title,
        "msteams": {"width": "Full"},
        "body": body,
    }
    if message.address:
        card["actions"] = [{"type": "Action.OpenUrl", "title": "Open in AgentOps", "url": message.address}]
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return msgspec.json.encode({"type": "message", "attachments": [attachment]})


def _text(text: str, **look: str) -> dict[str, Any]:
    """Make a block of one text run: unlike a text block, it has no Markdown."""
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **look}]}
