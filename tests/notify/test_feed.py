"""The feed: what each member has read, what is new, and where its rows lead."""

import re

import pytest
from django.db import connection
from django.test import Client

from agentops.accounts.models import Role
from agentops.notify.models import FeedItem, FeedRead
from agentops.notify.queries import unread
from agentops.notify.retention import remove_old
from agentops.notify.services import notify
from agentops.web.navigation import counters
from tests.builders import make_membership, signed_in
from tests.notify.builders import make_channel, make_message

pytestmark = pytest.mark.django_db


@pytest.fixture
def member():
    return make_membership(role=Role.VIEWER)


@pytest.fixture
def client(member) -> Client:
    return signed_in(member)


def tell(member, *keys, **fields):
    for key in keys:
        notify(member.project, make_message(f"about {key}", **fields), key=key)


def text(response) -> str:
    return response.content.decode()


def test_what_was_told_is_listed_newest_first_and_counted_in_the_navigation(client, member):
    tell(member, "alert:1", "alert:2")
    page = text(client.get("/feed"))
    assert page.index("about alert:2") < page.index("about alert:1")
    assert "2 unread" in page
    assert re.search(r'href="/feed".*?nav-count">\s*2<', page, re.DOTALL)


def test_each_member_reads_for_themselves(client, member):
    other = make_membership(member.project, Role.OPERATOR)
    tell(member, "alert:1", "alert:2")
    client.post("/feed/read", {"item": FeedItem.objects.get(key="alert:1").pk})
    assert (unread(member), unread(other)) == (1, 2)
    newest = FeedItem.objects.get(key="alert:2").created_at.isoformat()
    client.post("/feed/read", {"until": newest})
    assert (unread(member), unread(other)) == (0, 2)
    assert not FeedRead.objects.exists()
    tell(member, "alert:3")
    assert unread(member) == 1
    assert "1 unread" in text(client.get("/feed"))


def test_the_mark_never_moves_back(client, member):
    tell(member, "alert:1", "alert:2")
    first, second = FeedItem.objects.order_by("created_at")
    for item in (second, first):
        client.post("/feed/read", {"until": item.created_at.isoformat()})
    assert unread(member) == 0


def test_who_is_new_has_nothing_to_catch_up_on(member):
    tell(member, "alert:1")
    assert unread(make_membership(member.project)) == 0


def test_reading_opens_what_it_is_about_only_within_the_product(client, member):
    tell(member, "alert:1", url="/alerts/7")
    tell(member, "alert:2", url="//evil.example/")
    tell(member, "alert:3", url="https://evil.example/")
    for key, place in (("alert:1", "/alerts/7"), ("alert:2", "/feed"), ("alert:3", "/feed")):
        item = FeedItem.objects.get(key=key)
        assert client.post("/feed/read", {"item": item.pk, "open": "1"})["Location"] == place
    page = text(client.get("/feed"))
    assert "evil.example" not in page
    assert 'href="/alerts/7"' in page


@pytest.mark.parametrize(
    "data", [{}, {"item": "x"}, {"item": "01a20dfb-306d-7266-b42e-ddeed5fea3c5"}, {"until": "soon"}]
)
def test_nothing_is_read_that_is_not_there(client, data):
    assert client.post("/feed/read", data).status_code == 404


def test_an_item_of_another_project_was_never_there(client):
    stranger = make_membership()
    tell(stranger, "alert:1")
    assert client.post("/feed/read", {"item": FeedItem.objects.get().pk}).status_code == 404


def test_news_are_counted_for_an_open_page(client, member):
    tell(member, "alert:1")
    since = re.search(r'hx-get="(/feed\?since=[^"]+)"', text(client.get("/feed")))[1].replace("&amp;", "&")
    part = {"HX-Request": "true"}
    assert "new message" not in text(client.get(since, headers=part))
    tell(member, "alert:2", "alert:3")
    assert "2 new messages." in text(client.get(since, headers=part))


@pytest.mark.django_db(transaction=True)
def test_open_browsers_hear_of_it(member):
    listening = connection.get_new_connection(connection.get_connection_params())
    listening.autocommit = True
    with listening:
        listening.execute("LISTEN agentops")
        tell(member, "alert:1")
        heard = [notice.payload for notice in listening.notifies(timeout=2, stop_after=1)]
    assert heard == [f'{{"project": "{member.project_id.hex}", "event": "feed"}}']


def test_channels_in_trouble_are_said_on_top(client, member):
    make_channel(member.project, name="pager", failing_since="2026-01-01T00:00Z", last_error="5xx")
    make_channel(member.project, name="hooks", gone_at="2026-01-01T00:00Z")
    page = text(client.get("/feed"))
    assert "fails since" in page
    assert "has gone: its receiver wants nothing any more" in page


def test_older_messages_are_on_further_pages_at_the_same_cost(client, member, django_assert_num_queries):
    tell(member, *(f"alert:{number}" for number in range(60)))
    first = text(client.get("/feed"))
    assert first.count("about alert:") >= 50
    older = re.search(r'href="(\?after=[^"]+)"', first)[1]
    with django_assert_num_queries(3 + len(counters) + 3):  # signed in; the navigation; items, unread, troubled
        second = text(client.get(f"/feed{older}"))
    assert "about alert:0<" in second
    assert client.get("/feed?after=nonsense").status_code == 400


def test_what_is_older_than_the_project_keeps_is_removed(member):
    make_channel(member.project)
    tell(member, "alert:1", "alert:2")
    FeedItem.objects.filter(key="alert:1").update(created_at="2020-01-01T00:00Z")
    old = member.project.delivery_set.get(key="alert:1")
    type(old).objects.filter(pk=old.pk).update(state="failed", ended_at="2020-01-01T00:00Z")
    remove_old()
    assert [item.key for item in FeedItem.objects.all()] == ["alert:2"]
    assert [delivery.key for delivery in member.project.delivery_set.all()] == ["alert:2"]


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+12:00", "9999-12-31T23:59:59-12:00"])
def test_a_moment_outside_the_calendar_is_none(client, member, moment):
    tell(member, "alert:1")
    assert client.get("/feed", {"since": moment}).status_code == 200
    assert client.get("/feed", {"since": moment}, headers={"HX-Request": "true"}).status_code == 200
    assert client.post("/feed/read", {"until": moment}).status_code == 404
    assert unread(member) == 1
