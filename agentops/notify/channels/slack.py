"""Slack, by an incoming webhook: the message as blocks of plain text."""

from html import escape
from typing import Any

import msgspec

from agentops.notify.channels.base import Envelope, Field, Kind, Outcome, checked_url, outcome_of
from agentops.notify.models import Channel
from agentops.notify.wording import fitted, revealed, unlinked
from agentops.outbound import client

# https://docs.slack.dev/reference/block-kit/blocks: characters of a header, of a section.
TITLE, BODY = 150, 3_000


class Slack(Kind):
    """Posts blocks. Text from outside is plain text, which knows no links and no mentions, and is escaped besides."""

    name = "slack"
    label = "Slack"
    fields = (
        Field(
            "url",
            "Webhook address",
            "from your Slack app, Incoming Webhooks; kept encrypted, never shown again",
            checked_url,
            is_secret=True,
            is_target=True,
            example="https://hooks.slack.com/services/T000/B000/XXXX",
        ),
    )

    def send(self, channel: Channel, envelope: Envelope) -> Outcome:
        headers = {"content-type": "application/json; charset=utf-8"}
        return outcome_of(client.request("POST", channel.secrets()["url"], headers=headers, body=render(envelope)))


def render(envelope: Envelope) -> bytes:
    message = envelope.message
    blocks: list[dict[str, Any]] = [{"type": "header", "text": _plain(envelope.title, TITLE)}]
    if message.body:
        blocks.append({"type": "section", "text": _plain(message.body, BODY)})
    about: list[dict[str, Any]] = [_plain(f"Severity: {message.severity}", BODY)]
    if message.address:
        about.append({"type": "mrkdwn", "text": f"<{_escaped(message.address)}|Open in AgentOps>"})
    blocks.append({"type": "context", "elements": about})
    # What notifications show. Slack reads its markup and makes links of addresses in it.
    text = fitted(unlinked(envelope.title), BODY, _escaped)
    return msgspec.json.encode({"text": text, "blocks": blocks, "unfurl_links": False, "unfurl_media": False})


def _plain(text: str, limit: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": fitted(revealed(text), limit, _escaped), "emoji": False}


def _escaped(text: str) -> str:
    """Escape what Slack reads as markup: `<!channel>`, `<@U1>` and `<https://evil|bank>` stay text."""
    return escape(text, quote=False)
