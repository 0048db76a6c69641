"""The webhook as its receiver sees it: what the reference library says of our signature, and what text can do in it."""

import json
import sys
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from standardwebhooks.webhooks import Webhook as Reference
from standardwebhooks.webhooks import WebhookVerificationError

import agentops.notify.channels
from agentops.notify.channels.base import Envelope, FieldError, Result, checked_url, kinds, outcome_of, retry_after_s
from agentops.notify.channels.webhook import Webhook, checked_header, render, sign
from agentops.notify.deliver import drain
from agentops.notify.services import notify
from agentops.outbound.client import Answer
from tests.builders import make_membership, signed_in
from tests.notify.builders import make_message

SECRET = Webhook().make_secrets()["signing"]


def envelope(title: str = "a loop", **fields: object) -> Envelope:
    return Envelope("msg_1", make_message(title), datetime(2026, 3, 16, 12, tzinfo=UTC), **fields)


def test_the_reference_library_accepts_what_we_sign():
    body = render(envelope())
    assert Reference(SECRET).verify(body, sign(SECRET, "msg_1", body)) == json.loads(body)


def test_the_reference_library_refuses_another_body_another_id_an_old_key_and_an_old_message(monkeypatch):
    body = render(envelope())
    headers = sign(SECRET, "msg_1", body)
    reference = Reference(SECRET)
    with pytest.raises(WebhookVerificationError):
        reference.verify(body.replace(b"loop", b"poor"), headers)
    with pytest.raises(WebhookVerificationError):
        reference.verify(body, headers | {"webhook-id": "msg_2"})
    with pytest.raises(WebhookVerificationError):
        Reference(Webhook().make_secrets()["signing"]).verify(body, headers)
    six_minutes_ago = time.time() - 360
    monkeypatch.setattr("agentops.notify.channels.webhook.time.time", lambda: six_minutes_ago)
    with pytest.raises(WebhookVerificationError):
        reference.verify(body, sign(SECRET, "msg_1", body))


def test_the_body_is_what_the_docstring_says(settings):
    body = json.loads(render(envelope(more=37)))
    assert body["type"] == "alert.opened"
    assert body["timestamp"] == "2026-03-16T12:00:00Z"
    assert set(body["data"]) == {"id", "kind", "severity", "title", "body", "url", "more"}
    assert body["data"]["title"] == "a loop, and 37 more"
    assert body["data"]["url"] == f"{settings.ENV.agentops_public_url}/alerts/1"


@pytest.mark.parametrize("text", ["<!channel> <https://evil|bank> @everyone", '","severity":"low', "{{7*7}}", "\u202e"])
def test_text_from_outside_stays_text(text):
    assert json.loads(render(envelope(text)))["data"]["title"] == text


@pytest.mark.parametrize(
    "text",
    [
        "X: a\r\nEvil: 1",
        "X: a\nb",
        "no colon",
        "X:",
        "Webhook-Id: 1",
        "Content-Length: 0",
        "Host: evil",
        "X: ü",
        "X Y: 1",
    ],
)
def test_a_header_of_ones_own_is_one_header_and_none_of_ours(text):
    with pytest.raises(FieldError):
        checked_header(text)


def test_a_plain_header_is_taken():
    assert checked_header(" Authorization:  Bearer abc ") == "Authorization: Bearer abc"


@pytest.mark.parametrize(
    "url",
    ["https://user:pass@evil.example", "https://127.0.0.1/", "http://hooks.example.com/", "https://localhost/", ""],
)
def test_an_address_that_cannot_be_called_is_refused_when_it_is_typed(url):
    with pytest.raises(FieldError):
        checked_url(url)


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (200, Result.DELIVERED),
        (204, Result.DELIVERED),
        (301, Result.CHANNEL_FAILED),
        (302, Result.CHANNEL_FAILED),
        (400, Result.MESSAGE_REFUSED),
        (401, Result.CHANNEL_FAILED),
        (404, Result.CHANNEL_FAILED),
        (410, Result.GONE),
        (413, Result.MESSAGE_REFUSED),
        (429, Result.CHANNEL_FAILED),
        (500, Result.CHANNEL_FAILED),
        (503, Result.CHANNEL_FAILED),
    ],
)
def test_an_answer_is_judged_by_its_status(status, result):
    assert outcome_of(Answer(status, {}, b"")).result is result


def test_retry_after_is_seconds_or_a_date_and_at_most_an_hour():
    assert retry_after_s("120") == 120
    assert retry_after_s("0.75") == 0.75
    assert retry_after_s("999999999") == 3_600
    in_two_minutes = format_datetime(datetime.now(UTC) + timedelta(minutes=2), usegmt=True)
    assert retry_after_s(in_two_minutes) == pytest.approx(120, abs=2)
    assert retry_after_s("Mon, 16 Mar 2026 11:00:00 GMT") == 0
    for nonsense in ("", "soon", "-5", "١٢", "1e9", "Mon, 99 Foo"):
        assert retry_after_s(nonsense) is None


def test_kinds_are_found_by_being_there():
    assert {"webhook", "loopback"} <= set(kinds())


PIGEON = """
from agentops.notify.channels.base import Field, Kind, Outcome, Result

class Pigeon(Kind):
    name = "pigeon"
    label = "Carrier pigeon"
    fields = (Field("loft", "Loft"),)

    def send(self, channel, envelope):
        return Outcome(Result.DELIVERED, channel.config["loft"])
"""


@pytest.mark.django_db
def test_a_channel_is_added_as_one_file(tmp_path, monkeypatch):
    (tmp_path / "pigeon.py").write_text(PIGEON)
    monkeypatch.setattr("agentops.notify.channels.__path__", [*agentops.notify.channels.__path__, str(tmp_path)])
    kinds.cache_clear()
    try:
        admin = make_membership()
        client = signed_in(admin)
        assert "Carrier pigeon" in client.get("/settings/channels/add?kind=pigeon").content.decode()
        client.post("/settings/channels/add?kind=pigeon", {"name": "roof", "loft": "north"})
        (delivery,) = notify(admin.project, make_message(), key="alert:1")
        assert drain(delivery.channel_id) is None
        delivery.refresh_from_db()
        assert (delivery.state, delivery.last_status) == ("delivered", "north")
    finally:
        monkeypatch.undo()
        sys.modules.pop("agentops.notify.channels.pigeon")
        kinds.cache_clear()
