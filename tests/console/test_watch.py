"""Self-watch: what is silent stands on every page, and outside somebody is told each minute that all is well."""

from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from django.db.models import F
from django.test import Client
from django.utils import timezone

from agentops.console import watch
from agentops.jobs.models import Process
from agentops.notify.models import DeliverJob
from tests.builders import make_membership, make_project, signed_in
from tests.instance import wait_until
from tests.notify.builders import make_channel
from tests.receivers import Receiver

pytestmark = pytest.mark.django_db


class Time:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Time:
    settings.SELF_WATCH = True
    time = Time()
    monkeypatch.setattr(watch, "watch", watch.Watch(time))
    return time


def all_run() -> None:
    for kind in ("worker", "sweeper"):
        Process.objects.report(kind)


def fall_silent(kind: str) -> None:
    Process.objects.filter(kind=kind).update(seen_at=F("seen_at") - timedelta(seconds=16))


@pytest.mark.parametrize("kind", ["worker", "sweeper"])
def test_a_part_that_is_silent_stands_on_every_page_within_half_a_minute(clock: Time, kind: str) -> None:
    person = signed_in(make_membership())
    all_run()
    for path in ("/", "/alerts", "/traces"):
        assert watch.SENTENCES[kind] not in person.get(path).content.decode()
    clock.now = watch.GRACE_S
    assert watch.SENTENCES[kind] not in person.get("/alerts").content.decode()
    fall_silent(kind)
    clock.now += watch.LOOK_EVERY_S
    for path in ("/", "/alerts", "/traces", "/mttd"):
        page = person.get(path).content.decode()
        assert watch.SENTENCES[kind] in page
        assert page.count('role="alert"') == 1
    all_run()
    clock.now += watch.LOOK_EVERY_S
    assert watch.SENTENCES[kind] not in person.get("/alerts").content.decode()
    assert 15 + watch.LOOK_EVERY_S < 30


def test_messages_that_nobody_sends_are_a_silent_notifier() -> None:
    all_run()
    assert watch.silent() == []
    DeliverJob.objects.create(channel=make_channel(make_project(), "https://127.0.0.1/"))
    assert watch.silent() == []
    DeliverJob.objects.update(due_at=timezone.now() - timedelta(seconds=watch.LATE_S + 1))
    assert watch.silent() == ["notifier"]


def test_many_pages_cost_one_query_in_five_seconds(clock: Time, django_assert_num_queries: Any) -> None:
    all_run()
    clock.now = watch.GRACE_S
    with django_assert_num_queries(1):
        assert [watch.watch.sentences() for _ in range(5)] == [[]] * 5


def test_strangers_are_told_nothing(clock: Time) -> None:
    clock.now = watch.GRACE_S
    assert "runs:" not in Client().get("/accounts/login/").content.decode()


def test_outside_hears_of_us_only_while_all_parts_run(settings: Any) -> None:
    with Receiver() as outside:
        settings.OUTBOUND_ALLOW = ((ip_network("127.0.0.1/32"), outside.port),)
        watch.ping_outside()
        settings.DEADMAN_URL = outside.url
        watch.ping_outside()
        all_run()
        assert not outside.requests
        watch.ping_outside()
        assert wait_until(lambda: len(outside.requests) == 1, 5)
        assert outside.requests[0].method == "GET"
