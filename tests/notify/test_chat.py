"""Slack, Discord and Teams: limits of each, and what text from a trace can do in its markup (nothing)."""

import json
import re
from datetime import UTC, datetime

import pytest

from agentops.notify.channels import discord, slack, teams
from agentops.notify.channels.base import Envelope, Result
from agentops.notify.wording import fitted, unlinked
from tests.notify.builders import make_channel, make_message
from tests.receivers import answer, receiving

EVIL = "<!channel> <@U1> @everyone <https://evil.example|bank> [bank](https://evil.example) **b** `c` \u202e"
HOUR = datetime(2026, 3, 16, 12, tzinfo=UTC)


def envelope(title: str = "a loop", **fields: str) -> Envelope:
    return Envelope("msg_1", make_message(title, **fields), HOUR)


def blocks(**fields: str) -> list[dict]:
    return json.loads(slack.render(envelope(**fields)))["blocks"]


def card(**fields: str) -> dict:
    return json.loads(teams.render(envelope(**fields)))["attachments"][0]["content"]


def embed(**fields: str) -> dict:
    return json.loads(discord.render(envelope(**fields)))["embeds"][0]


def test_slack_gets_text_that_mentions_nobody_and_links_nowhere():
    sent = json.loads(slack.render(envelope(EVIL, body=EVIL)))
    header, body, about = sent["blocks"]
    for text in (header["text"], body["text"]):
        assert text["type"] == "plain_text"
        assert text["text"].startswith("&lt;!channel&gt; &lt;@U1&gt; @everyone &lt;https://evil.example|bank&gt;")
        assert text["text"].endswith("[U+202E]")
    assert not re.search("<|://|evil.example", sent["text"])
    assert about["elements"][1]["text"] == "<http://127.0.0.1:8000/alerts/1|Open in AgentOps>"
    assert (sent["unfurl_links"], sent["unfurl_media"]) == (False, False)


def test_slack_gets_no_more_than_it_takes_and_no_half_escape():
    header, body, _ = blocks(title="<" * 300, body="&" * 4_000)
    assert header["text"]["text"] == "&lt;" * 37 + "…"
    assert len(body["text"]["text"]) <= 3_000
    assert body["text"]["text"].replace("&amp;", "") == "…"


def test_discord_gets_text_without_markup_and_with_mentions_off():
    sent = json.loads(discord.render(envelope(EVIL, body=EVIL)))
    assert sent["allowed_mentions"] == {"parse": []}
    (made,) = sent["embeds"]
    for text in (made["title"], made["description"]):
        assert re.sub(r"\\[!-/:-@\[-`{-~]", "", text).isalnum() or not re.search(
            r"[!-/:-@\[-`{-~]", re.sub(r"\\[!-/:-@\[-`{-~]", "", text)
        )
    assert made["url"] == "http://127.0.0.1:8000/alerts/1"


def test_discord_gets_no_more_than_it_takes():
    made = embed(title="*" * 300, body="é" * 3_000 + "😀" * 1_000)
    assert made["title"] == r"\*" * 127 + "…"
    assert len(made["description"].encode("utf-16-le")) // 2 <= 4_096


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("status", "result"), [(404, Result.GONE), (401, Result.CHANNEL_FAILED), (204, Result.DELIVERED)]
)
def test_a_discord_webhook_that_does_not_exist_is_called_no_more(status, result, allow):
    with receiving(answer(status)) as receiver:
        allow(receiver)
        channel = make_channel(kind="discord", config={}, secrets={"url": receiver.url})
        assert discord.Discord().send(channel, envelope()).result is result


def test_teams_gets_runs_of_text_without_markdown_and_without_links():
    made = card(title=EVIL, body=f"{EVIL}\nsecond line")
    texts = [block["inlines"][0]["text"] for block in made["body"]]
    assert {block["type"] for block in made["body"]} == {"RichTextBlock"}
    assert texts[1] == "Severity: high"
    assert texts[-1] == "second line"
    assert not any(re.search(r"://|evil\.example", text) for text in [*texts, made["fallbackText"]])
    assert made["actions"] == [
        {"type": "Action.OpenUrl", "title": "Open in AgentOps", "url": "http://127.0.0.1:8000/alerts/1"}
    ]


def test_a_card_is_smaller_than_teams_takes_even_of_characters_of_three_bytes():
    assert len(teams.render(envelope("語" * 300, body="語\n" * 2_000))) < 28_000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("see https://evil.example/a?b", "see https[:]//evil[.]example/a?b"),
        ("www.evil.com, a@evil.com; ftp://x", "www[.]evil[.]com, a@evil[.]com; ftp[:]//x"),
        ("evil。example", "evil[.]example"),
        ("3.5 s of 4.0. Then it ended.", "3.5 s of 4.0. Then it ended."),
        ("a\u200bb\u2066", "a[U+200B]b[U+2066]"),
    ],
)
def test_text_that_clients_would_make_links_of_is_written_so_that_they_do_not(text, said):
    assert unlinked(text) == said


def test_what_is_cut_says_so_and_counts_as_receivers_count():
    assert fitted("😀" * 10, 9) == "😀" * 4 + "…"
    assert fitted("short", 5) == "short"


def test_a_message_about_nothing_has_no_link():
    assert "actions" not in card(url="")
    assert "url" not in embed(url="")
    assert len(blocks(url="")[-1]["elements"]) == 1
