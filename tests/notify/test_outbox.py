"""Telling: one row for each channel and key, in the caller's transaction, with a limit as the last resort."""

import pytest
from django.db import transaction

from agentops.notify import services
from agentops.notify.deliver import drain
from agentops.notify.models import Channel, DeliverJob, Delivery, FeedItem
from agentops.notify.services import notify
from tests.builders import make_project
from tests.notify.builders import let_pass, make_channel, make_message

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return make_project()


def test_every_open_channel_and_the_feed_get_the_message(project):
    first, second = make_channel(project), make_channel(project)
    make_channel(project, paused_at="2026-01-01T00:00Z")
    make_channel(project, gone_at="2026-01-01T00:00Z")
    make_channel(project, deleted_at="2026-01-01T00:00Z")
    make_channel(make_project())
    told = notify(project, make_message("two tools failed"), key="alert:1")
    assert [delivery.channel for delivery in told] == [first, second]
    assert {job.channel for job in DeliverJob.objects.all()} == {first, second}
    assert FeedItem.objects.get().title == "two tools failed"


def test_without_a_channel_the_feed_is_all(project):
    assert notify(project, make_message(), key="alert:1") == []
    assert FeedItem.objects.of(project).count() == 1


def test_the_same_key_tells_once(project):
    make_channel(project)
    once = notify(project, make_message("first"), key="alert:1")
    twice = notify(project, make_message("second"), key="alert:1")
    assert once == twice
    assert Delivery.objects.get().content().title == "first"
    assert FeedItem.objects.count() == 1


def test_many_calls_with_one_key_leave_one_row(project, django_assert_num_queries):
    make_channel(project)
    for _ in range(300):
        notify(project, make_message(), key="alert:1")
    assert (Delivery.objects.count(), FeedItem.objects.count(), DeliverJob.objects.count()) == (1, 1, 1)
    with django_assert_num_queries(3 + 2):  # and a savepoint
        notify(project, make_message(), key="alert:1")


def test_what_is_rolled_back_was_never_told(project):
    make_channel(project)
    with transaction.atomic():
        notify(project, make_message(), key="alert:1")
        transaction.set_rollback(True)
    assert not Delivery.objects.exists()
    assert not FeedItem.objects.exists()
    assert not DeliverJob.objects.exists()


def test_workers_are_woken_after_commit_with_a_message_for_each_channel(
    project, monkeypatch, django_capture_on_commit_callbacks
):
    woken = []
    monkeypatch.setattr(services, "wake", lambda kind, ids: woken.append((kind, len(ids))))
    make_channel(project)
    make_channel(project)
    with django_capture_on_commit_callbacks() as callbacks:
        notify(project, make_message(), key="alert:1")
    assert not woken
    for callback in callbacks:
        callback()
    assert woken == [("deliver", 1), ("deliver", 1)]


def test_a_channel_gets_so_many_messages_of_a_family_a_minute_and_the_rest_inside_one(project):
    make_channel(project)
    for number in range(services.MOST_PER_WINDOW + 38):
        notify(project, make_message(), key=f"alert:{number}")
    notify(project, make_message(), key="approval:1")
    assert Delivery.objects.standing().filter(family="alert").count() == services.MOST_PER_WINDOW + 1
    gathering = Delivery.objects.get(gathers=True)
    assert gathering.folded.count() == 37
    assert Delivery.objects.get(family="approval").folded_into is None
    assert FeedItem.objects.count() == services.MOST_PER_WINDOW + 39


def test_the_limit_counts_a_minute_and_each_channel_alone(project):
    make_channel(project)
    for number in range(services.MOST_PER_WINDOW):
        notify(project, make_message(), key=f"alert:{number}")
    late = make_channel(project)
    notify(project, make_message(), key="alert:one more")
    assert Delivery.objects.get(gathers=True).channel != late
    let_pass(minutes=1)
    (old, _) = notify(project, make_message(), key="alert:later")
    assert not old.gathers
    assert old.folded_into is None


def test_drills_go_to_the_loopback_alone_without_a_limit_and_leave_the_feed_clean(project):
    make_channel(project)
    own = services.loopback(project)
    assert services.loopback(project) == own
    for number in range(12):
        (told,) = notify(project, make_message(), key=f"alert:{number}", drill=True)
        assert told.channel == own
    assert not FeedItem.objects.exists()
    assert drain(own.pk) is None
    assert {delivery.state for delivery in own.delivery_set.all()} == {"delivered"}


def test_people_are_told_nothing_through_the_loopback(project):
    services.loopback(project)
    assert notify(project, make_message(), key="alert:1") == []


def test_a_title_is_one_line_and_nothing_is_longer_than_people_read(project):
    title = "a\r\nBcc: all@example.com\x00\x1b[31m\u2028b" + "c" * 400
    notify(project, make_message(title, body="one\r\ntwo\x00\ud800" + "d" * 5_000), key="alert:1")
    item = FeedItem.objects.get()
    assert item.title.startswith("a Bcc: all@example.com [31m b")
    assert (len(item.title), len(item.body)) == (300, 4_000)
    assert item.body.startswith("one\ntwo?")


def test_a_deleted_channel_frees_its_name(project):
    make_channel(project, name="pager", deleted_at="2026-01-01T00:00Z")
    make_channel(project, name="pager")
    assert Channel.objects.of(project).kept().count() == 1
