"""PagerDuty as its Events API sees us: one incident for each alert, through its whole life."""

import json

import pytest

from agentops.notify.channels.pagerduty import SEVERITIES
from agentops.notify.deliver import drain
from agentops.notify.models import Delivery, FeedItem
from agentops.notify.services import follow, notify
from agentops.notify.trial import try_channel
from tests.alerts.builders import raise_one
from tests.builders import make_membership
from tests.notify.builders import make_channel, make_message
from tests.receivers import answer, receiving
from traces.alerts import services

pytestmark = pytest.mark.django_db

KEY = "0123456789abcdef0123456789abcdef"
REFUSED = b'{"status":"invalid event","errors":["Length of \'routing_key\' is incorrect"]}'


@pytest.fixture
def member():
    return make_membership()


def pager(project, receiver):
    return make_channel(project, kind="pagerduty", config={"url": receiver.url}, secrets={"routing_key": KEY})


def events(receiver) -> list[dict]:
    return [json.loads(request.body) for request in receiver.requests]


def test_an_alert_is_one_incident_from_its_beginning_to_its_end(member, allow):
    with receiving(answer(202)) as receiver, receiving() as chat:
        allow(receiver, chat)
        channel, hook = pager(member.project, receiver), make_channel(member.project, chat.url)
        alert = raise_one(member.project)
        services.acknowledge(alert, by=member.user)
        services.resolve(alert, by=member.user, verdict="true_positive")
        assert (drain(channel.pk), drain(hook.pk)) == (None, None)
    opened, *rest = events(receiver)
    about = opened["payload"]
    assert (about["summary"], about["source"], about["class"]) == (alert.title, "127.0.0.1", "alert.opened")
    assert about["severity"] == SEVERITIES[alert.severity]
    link = f"http://127.0.0.1:8000{alert.get_absolute_url()}"
    assert opened["links"] == [{"href": link, "text": "Open in AgentOps"}]
    same = {"routing_key": KEY, "dedup_key": str(alert.pk)}
    assert opened["event_action"] == "trigger"
    assert opened.items() >= same.items()
    assert rest == [{**same, "event_action": "acknowledge"}, {**same, "event_action": "resolve"}]
    # Nobody else hears what somebody did in the product itself.
    assert (len(chat.requests), FeedItem.objects.count()) == (1, 1)


def test_a_flood_is_not_gathered_or_its_incidents_would_stay_open(member, allow, monkeypatch):
    monkeypatch.setattr("agentops.notify.services.MOST_PER_WINDOW", 2)
    with receiving(answer(202)) as receiver:
        allow(receiver)
        channel = pager(member.project, receiver)
        for number in range(5):
            notify(member.project, make_message(id=f"alert:{number}"), key=f"alert:{number}")
        drain(channel.pk)
    assert len({event["dedup_key"] for event in events(receiver)}) == 5


def test_what_is_followed_is_told_once(member):
    channel = make_channel(member.project, kind="pagerduty")
    for _ in range(2):
        follow(member.project, make_message(phase="resolved"), key="alert:1:resolved")
    assert Delivery.objects.get().channel == channel


def test_a_refused_key_is_trouble_of_the_channel_and_not_of_the_message(member, allow):
    with receiving(answer(400, REFUSED)) as receiver:
        allow(receiver)
        channel = pager(member.project, receiver)
        notify(member.project, make_message(), key="alert:1")
        assert drain(channel.pk) is not None
    assert Delivery.objects.get().last_status == "key refused"


def test_a_test_leaves_no_incident_open(member, allow):
    with receiving(answer(202)) as receiver:
        allow(receiver)
        tried = try_channel(pager(member.project, receiver), by=member.user)
    assert tried.is_delivered
    assert [event["event_action"] for event in events(receiver)] == ["trigger", "resolve"]
    assert len({event["dedup_key"] for event in events(receiver)}) == 1
