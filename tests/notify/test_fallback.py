"""What a channel in trouble could not deliver: told by the fallback and in the feed, once, and not too soon."""

import json

import pytest
from django.db import transaction

from agentops.accounts.models import Role
from agentops.audit.models import Entry
from agentops.notify import routing
from agentops.notify.deliver import drain
from agentops.notify.fallback import fall_back
from agentops.notify.models import Channel, Delivery, FeedItem
from agentops.notify.services import notify
from tests.builders import make_membership, signed_in
from tests.locks import SOON_S, start, wait_for_company
from tests.notify.builders import let_pass, make_channel, make_message
from tests.receivers import answer, receiving

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin():
    return make_membership(role=Role.ADMIN)


def undelivered() -> list[str]:
    return list(
        FeedItem.objects.filter(kind="channel.undelivered", severity="critical").values_list("title", flat=True)
    )


def failing(admin, allow, receiver, *severities: str) -> Channel:
    """A channel that failed to deliver messages of these severities a moment ago."""
    allow(receiver)
    channel = make_channel(admin.project, receiver.url, name="chat")
    for number, severity in enumerate(severities):
        notify(admin.project, make_message(f"loop {number}", severity=severity), key=f"alert:{number}")
    drain(channel.pk)
    return channel


def test_after_five_minutes_the_feed_says_what_did_not_arrive_once(admin, allow):
    with receiving(answer(500)) as receiver:
        failing(admin, allow, receiver, "high", "low")
        let_pass(minutes=4)
        fall_back()
        assert undelivered() == []
        let_pass(minutes=2)
        for _ in range(2):
            fall_back()
            Channel.objects.update(fell_back_at=None)
    assert undelivered() == ["2 messages did not reach the channel chat"]
    assert FeedItem.objects.get(kind="channel.undelivered").body == "loop 0\nloop 1"
    assert Delivery.objects.pending().count() == 2


def test_what_is_critical_waits_for_one_minute(admin, allow):
    with receiving(answer(500)) as receiver:
        failing(admin, allow, receiver, "critical", "high")
        let_pass(seconds=61)
        fall_back()
    assert undelivered() == ["1 message did not reach the channel chat"]


def test_what_went_with_its_channel_is_told_at_once(admin, allow):
    with receiving(answer(410)) as receiver:
        failing(admin, allow, receiver, "low")
        fall_back()
    assert undelivered() == ["1 message did not reach the channel chat"]


def test_the_fallback_gets_it_whatever_it_takes_and_others_do_not(admin, allow):
    with receiving(answer(500)) as receiver, receiving() as mail:
        channel = failing(admin, allow, receiver, "critical")
        allow(mail)
        fallback = make_channel(admin.project, mail.url, takes_all=False, is_fallback=True)
        other = make_channel(admin.project)
        let_pass(minutes=2)
        fall_back()
        drain(fallback.pk)
    (request,) = mail.requests
    assert json.loads(request.body)["data"]["title"] == "1 message did not reach the channel chat"
    assert not other.delivery_set.exists()
    assert channel.delivery_set.count() == 1


def test_a_fallback_in_trouble_does_not_tell_itself(admin, allow):
    with receiving(answer(500)) as receiver:
        channel = failing(admin, allow, receiver, "critical")
        Channel.objects.update(is_fallback=True)
        for _ in range(3):
            let_pass(minutes=2)
            fall_back()
    assert channel.delivery_set.count() == 1
    assert len(undelivered()) == 1


def test_it_is_told_at_most_once_a_minute(admin, allow):
    with receiving(answer(500)) as receiver:
        failing(admin, allow, receiver, "critical")
        let_pass(minutes=2)
        fall_back()
        notify(admin.project, make_message(severity="critical"), key="alert:9")
        fall_back()
        assert len(undelivered()) == 1
        Channel.objects.update(fell_back_at="2026-01-01T00:00Z")
        fall_back()
    assert len(undelivered()) == 2


def test_without_trouble_it_costs_one_query(admin, django_assert_num_queries):
    make_channel(admin.project)
    with django_assert_num_queries(1):
        fall_back()


def test_the_fallback_is_chosen_on_the_page_and_audited(admin):
    first, second = make_channel(admin.project), make_channel(admin.project, name="mail to admins")
    client = signed_in(admin)
    for chosen in (first, second):
        client.post("/settings/channels/routing/fallback", {"channel": chosen.pk})
        assert Channel.objects.get(is_fallback=True) == chosen
    assert f'<option value="{second.pk}" selected>' in client.get("/settings/channels/routing").content.decode()
    assert client.post("/settings/channels/routing/fallback", {"channel": make_channel().pk}).status_code == 404
    client.post("/settings/channels/routing/fallback", {"channel": ""})
    assert not Channel.objects.filter(is_fallback=True).exists()
    assert Entry.objects.of(admin.project).filter(action="project.fallback_chosen").count() == 3


@pytest.mark.django_db(transaction=True)
def test_of_two_admins_who_choose_a_fallback_at_once_the_later_one_wins(admin):
    first, second = make_channel(admin.project), make_channel(admin.project)
    with transaction.atomic():
        routing.set_fallback(admin.project, first, by=admin.user)
        choosing = start(lambda: routing.set_fallback(admin.project, second, by=admin.user))
        wait_for_company()
    choosing.join(SOON_S)
    assert Channel.objects.get(is_fallback=True) == second
