"""Delivering to real local receivers that are well, slow, failing or gone."""

import json
import time
from datetime import timedelta

import pytest
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone
from standardwebhooks.webhooks import Webhook as Reference

from agentops.notify import services
from agentops.notify.channels.base import Outcome, Result
from agentops.notify.deliver import WAITS_S, begin_next, drain
from agentops.notify.models import Channel, Delivery, DeliveryState, FeedItem
from agentops.notify.recording import record, tell_of_failing_channels
from agentops.notify.services import MOST_PER_WINDOW, notify
from tests.builders import make_project
from tests.locks import SOON_S, start, wait_for_company
from tests.notify.builders import let_pass, make_channel, make_message
from tests.receivers import OK, Receiver, answer, receiving

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return make_project()


def answering(*answers: bytes) -> Receiver:
    """A receiver that gives these answers in turn, and then the last one for ever."""
    rest = list(answers)
    return Receiver(lambda line, request: line.sendall(rest.pop(0) if len(rest) > 1 else rest[0]))


def tell(project, *keys, **fields):
    for key in keys:
        notify(project, make_message(f"about {key}", **fields), key=key)


def titles(receiver) -> list[str]:
    return [json.loads(request.body)["data"]["title"] for request in receiver.requests]


def test_a_message_arrives_signed_and_its_times_are_kept(project, allow, announced, django_capture_on_commit_callbacks):
    with receiving() as receiver:
        allow(receiver)
        channel = make_channel(project, receiver.url, secrets={"header": "Authorization: Bearer abc"})
        tell(project, "alert:1")
        with django_capture_on_commit_callbacks(execute=True):
            assert drain(channel.pk) is None
    (request,) = receiver.requests
    delivery = Delivery.objects.get()
    assert Reference(channel.secrets()["signing"]).verify(request.body, dict(request.headers))
    assert request.headers["webhook-id"] == f"msg_{delivery.pk.hex}"
    assert request.headers["authorization"] == "Bearer abc"
    assert (delivery.state, delivery.attempts, delivery.last_status) == ("delivered", 1, "2xx")
    assert delivery.created_at < delivery.first_attempt_at < delivery.delivered_at
    ((name, said),) = announced
    assert (name, said["key"], said["delivery_id"]) == ("delivered", "alert:1", delivery.pk)
    assert (said["first_attempt_at"], said["delivered_at"]) == (delivery.first_attempt_at, delivery.delivered_at)
    channel.refresh_from_db()
    assert channel.state == "working"


def test_a_failing_receiver_is_tried_again_with_the_same_id_and_gets_each_message_once_in_order(project, allow):
    with answering(answer(500), answer(503), OK) as receiver:
        allow(receiver)
        channel = make_channel(project, receiver.url)
        tell(project, "alert:1", "alert:2", "alert:3", id="one alert")
        for _ in range(3):
            drain(channel.pk)
            let_pass(minutes=2)
    assert titles(receiver) == ["about alert:1"] * 3 + ["about alert:2", "about alert:3"]
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 3
    assert Delivery.objects.filter(state=DeliveryState.DELIVERED).count() == 3


def test_waits_grow_to_72_hours_in_all_and_then_it_has_failed(project, allow):
    with receiving(answer(500)) as receiver:
        allow(receiver)
        channel = make_channel(project, receiver.url)
        tell(project, "alert:1")
        waits = []
        while (wait := drain(channel.pk)) is not None:
            waits.append(wait.total_seconds())
            let_pass(seconds=max(wait.total_seconds(), 60))
    # While the receiver is in trouble it is left alone for up to a minute, whatever the schedule says.
    assert [round(wait) for wait in waits] == [5, 30, *WAITS_S[2:]]
    assert 71 < sum(WAITS_S) / 3600 <= 72
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.attempts) == ("failed", len(WAITS_S) + 1)
    assert len(receiver.requests) == len(WAITS_S) + 1


def test_a_channel_in_trouble_is_left_alone_for_a_while_and_new_messages_are_tried_soon(project, allow):
    with answering(answer(500), answer(500), OK) as receiver:
        allow(receiver)
        channel = make_channel(project, receiver.url)
        tell(project, "alert:1", "alert:2", "alert:3")
        assert drain(channel.pk).total_seconds() == pytest.approx(5, abs=0.5)
        assert drain(channel.pk).total_seconds() == pytest.approx(5, abs=0.5)
        assert len(receiver.requests) == 1
        let_pass(seconds=6)
        assert drain(channel.pk).total_seconds() == pytest.approx(15, abs=0.5)
        let_pass(seconds=16)
        drain(channel.pk)
    # Once the receiver is back, everything that waited for it goes out at once.
    assert len(receiver.requests) == 5
    assert not Delivery.objects.pending().exists()


def test_a_message_that_is_refused_holds_up_no_other_and_is_given_up_early(project, allow):
    with Receiver(lambda line, seen: line.sendall(answer(400) if b"poison" in seen.body else OK)) as receiver:
        allow(receiver)
        channel = make_channel(project, receiver.url)
        tell(project, "alert:poison", "alert:2")
        drain(channel.pk)
        assert Delivery.objects.get(key="alert:2").state == "delivered"
        while drain(channel.pk) is not None:
            let_pass(minutes=15)
    poison = Delivery.objects.get(key="alert:poison")
    assert (poison.state, poison.attempts, poison.last_status) == ("failed", 5, "4xx")


@pytest.mark.parametrize("status", [301, 302])
def test_a_redirect_is_a_failure_and_is_not_followed(status, project, allow):
    with receiving() as elsewhere, receiving(answer(status, location=elsewhere.url)) as receiver:
        allow(receiver, elsewhere)
        channel = make_channel(project, receiver.url)
        tell(project, "alert:1")
        drain(channel.pk)
    assert not elsewhere.requests
    assert (Delivery.objects.get().state, Delivery.objects.get().last_status) == ("pending", "3xx")
    channel.refresh_from_db()
    assert channel.state == "failing"


def test_a_receiver_that_is_gone_gets_nothing_more_and_people_hear_of_it_elsewhere(
    project, allow, announced, django_capture_on_commit_callbacks
):
    with receiving(answer(410)) as gone, receiving() as other:
        allow(gone, other)
        channel, well = make_channel(project, gone.url, name="pager"), make_channel(project, other.url)
        tell(project, "alert:1", "alert:2")
        with django_capture_on_commit_callbacks(execute=True):
            assert drain(channel.pk) is None
            assert drain(well.pk) is None
        tell(project, "alert:3")
        assert drain(channel.pk) is None
    assert len(gone.requests) == 1
    assert "The channel pager is gone: its receiver wants nothing any more" in titles(other)
    assert FeedItem.objects.filter(kind="channel.failing").count() == 1
    assert set(channel.delivery_set.values_list("state", flat=True)) == {"gone"}
    said = next(said for name, said in announced if name == "channel_failing")
    assert (said["channel_id"], said["is_gone"]) == (channel.pk, True)


def test_retry_after_is_honoured_while_other_channels_go_on(project, allow):
    with receiving(answer(429, retry_after="120")) as busy, receiving() as other:
        allow(busy, other)
        channel, well = make_channel(project, busy.url), make_channel(project, other.url)
        tell(project, "alert:1")
        assert drain(channel.pk).total_seconds() == pytest.approx(120, abs=1)
        let_pass(seconds=100)
        tell(project, "alert:2")
        assert drain(channel.pk).total_seconds() == pytest.approx(20, abs=1)
        assert drain(well.pk) is None
    assert (len(busy.requests), len(other.requests)) == (1, 2)


def test_a_slow_receiver_ends_its_turn_after_one_message(project, allow, monkeypatch):
    monkeypatch.setattr("agentops.notify.deliver.SLOW_S", 0.1)

    def slow(line, request):
        time.sleep(0.2)
        line.sendall(OK)

    with Receiver(slow) as receiver:
        allow(receiver)
        channel = make_channel(project, receiver.url)
        tell(project, "alert:1", "alert:2")
        assert drain(channel.pk).total_seconds() == 0
    assert len(receiver.requests) == 1


def test_people_are_told_once_of_a_channel_that_failed_for_two_minutes_and_once_that_it_works_again(
    project, allow, announced, django_capture_on_commit_callbacks
):
    with answering(answer(500), answer(500), OK) as receiver, receiving() as other:
        allow(receiver, other)
        channel, well = make_channel(project, receiver.url, name="hooks"), make_channel(project, other.url)
        tell(project, "alert:1")
        drain(channel.pk)
        tell_of_failing_channels()
        assert not FeedItem.objects.filter(kind="channel.failing").exists()
        let_pass(minutes=3)
        with django_capture_on_commit_callbacks(execute=True):
            tell_of_failing_channels()
            tell_of_failing_channels()
            drain(channel.pk)
            let_pass(minutes=3)
            drain(channel.pk)
            drain(well.pk)
    assert titles(other) == ["about alert:1", "The channel hooks fails (5xx)", "The channel hooks works again"]
    names = [name for name, said in announced if said["channel_id"] == channel.pk]
    assert names == ["channel_failing", "channel_recovered", "delivered"]


def test_people_who_were_told_during_an_attempt_that_a_channel_fails_hear_that_it_works_again(project):
    channel = make_channel(project, name="hooks", failing_since=timezone.now() - timedelta(minutes=3))
    tell(project, "alert:1")
    delivery = begin_next(channel.pk)
    tell_of_failing_channels()  # the receiver takes its time
    record(delivery, Outcome(Result.DELIVERED, "2xx"), folded=[], took_s=9.0, is_last=False)
    assert list(
        FeedItem.objects.filter(kind__startswith="channel.").order_by("id").values_list("title", flat=True)
    ) == [
        "The channel hooks fails ()",
        "The channel hooks works again",
    ]


@pytest.mark.django_db(transaction=True)
def test_an_attempt_waits_for_whoever_tells_of_its_channel_and_holds_nothing_that_they_want(project):
    channel = make_channel(project)
    tell(project, "alert:1")
    delivery = begin_next(channel.pk)
    arrived = Outcome(Result.DELIVERED, "2xx")
    with transaction.atomic():
        Channel.objects.filter(pk=channel.pk).update(fell_back_at=Now())  # as the fallback begins
        ending = start(lambda: record(delivery, arrived, folded=[], took_s=0.1, is_last=False))
        wait_for_company()
        Delivery.objects.select_for_update(nowait=True).get(pk=delivery.pk)
    ending.join(SOON_S)
    delivery.refresh_from_db()
    assert delivery.state == DeliveryState.DELIVERED


def test_what_was_gathered_travels_inside_one_message_and_counts_as_delivered(
    project, allow, announced, django_capture_on_commit_callbacks
):
    with receiving() as receiver:
        allow(receiver)
        channel = make_channel(project, receiver.url)
        tell(project, *(f"alert:{number}" for number in range(MOST_PER_WINDOW + 38)))
        drain(channel.pk)
        let_pass(minutes=1)
        with django_capture_on_commit_callbacks(execute=True):
            assert drain(channel.pk) is None
    assert len(receiver.requests) == MOST_PER_WINDOW + 1
    assert titles(receiver)[-1] == f"about alert:{MOST_PER_WINDOW}, and 37 more"
    assert set(channel.delivery_set.values_list("state", flat=True)) == {"delivered"}
    assert {said["key"] for _, said in announced} == {
        f"alert:{number}" for number in range(MOST_PER_WINDOW, MOST_PER_WINDOW + 38)
    }


def test_what_came_too_late_for_the_gathering_message_travels_by_itself(project, allow):
    with receiving() as receiver:
        allow(receiver)
        channel = make_channel(project, receiver.url)
        tell(project, "alert:1", "alert:2")
        first, late = Delivery.objects.order_by("id")
        Delivery.objects.filter(pk=late.pk).update(folded_into=first)
        for _ in range(2):
            drain(channel.pk)
    assert titles(receiver) == ["about alert:1", "about alert:2"]


@pytest.mark.django_db(transaction=True)
def test_nothing_joins_a_gathering_message_that_leaves_at_this_moment(project, monkeypatch):
    monkeypatch.setattr(services, "MOST_PER_WINDOW", 1)
    make_channel(project)
    tell(project, "alert:1", "alert:2")
    with transaction.atomic():
        Delivery.objects.filter(gathers=True).update(attempts=1)  # as an attempt begins
        joining = start(lambda: tell(project, "alert:3"))
        wait_for_company()
    joining.join(SOON_S)
    assert list(Delivery.objects.order_by("id").values_list("gathers", "folded_into")) == [
        (False, None),
        (True, None),
        (True, None),
    ]


def test_a_paused_channel_keeps_what_it_has_until_it_is_resumed(project, allow):
    with receiving() as receiver:
        allow(receiver)
        channel = make_channel(project, receiver.url)
        tell(project, "alert:1")
        Channel.objects.update(paused_at="2026-01-01T00:00Z")
        assert drain(channel.pk) is None
        Channel.objects.update(paused_at=None)
        assert drain(channel.pk) is None
    assert titles(receiver) == ["about alert:1"]


def test_an_attempt_whose_process_died_waits_for_its_turn_in_the_schedule(project, allow, monkeypatch):
    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with receiving() as receiver:
        allow(receiver)
        channel = make_channel(project, receiver.url)
        tell(project, "alert:1", "alert:2")
        monkeypatch.setattr("agentops.notify.deliver.recording.record", die)
        with pytest.raises(KeyboardInterrupt):
            drain(channel.pk)
        monkeypatch.undo()
        allow(receiver)
        assert drain(channel.pk).total_seconds() == pytest.approx(5, abs=1)
        let_pass(seconds=6)
        assert drain(channel.pk) is None
    assert titles(receiver) == ["about alert:1", "about alert:2", "about alert:1"]
    ids = [request.headers["webhook-id"] for request in receiver.requests]
    assert ids[0] == ids[2] != ids[1]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"url": "https://127.0.0.1/"}, "not allowed"),
        ({"sealed": b"sealed with another key"}, "secret unreadable"),
        ({"kind": "pigeon"}, "not installed"),
        ({"config": {}}, "cannot be sent"),
    ],
)
def test_what_cannot_be_sent_is_said_in_a_few_words(fields, status, project):
    channel = make_channel(project, **fields)
    tell(project, "alert:1")
    drain(channel.pk)
    assert Delivery.objects.get().last_status == status
