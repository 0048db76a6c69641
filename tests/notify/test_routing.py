"""Which channel is told what: by pattern, severity and agent; everything, until a person says otherwise."""

import re

import pytest

from agentops.accounts.models import Role
from agentops.audit.models import Entry
from agentops.notify.models import Channel, Route
from agentops.notify.routing import _is_like, subjects
from agentops.notify.services import notify
from agentops.web.navigation import counters
from tests.alerts.builders import raise_one
from tests.builders import make_membership, signed_in
from tests.notify.builders import make_channel, make_message

pytestmark = pytest.mark.django_db

PAGE = "/settings/channels/routing"
ABOUT = (("tool_loop", "support-bot"),)


@pytest.fixture
def admin():
    return make_membership(role=Role.ADMIN)


def told(project, **fields: object) -> set[str]:
    """The names of the channels that a message reaches."""
    message = make_message(**fields)
    return {delivery.channel.name for delivery in notify(project, message, key=f"alert:{message.id}")}


def test_without_routes_every_channel_is_told_everything(admin):
    make_channel(admin.project, name="chat")
    assert told(admin.project, about=ABOUT, severity="low") == {"chat"}


@pytest.mark.parametrize(
    ("route", "passes"),
    [
        ({}, True),
        ({"pattern": "tool_loop"}, True),
        ({"pattern": "context_drift"}, False),
        ({"at_least": "high"}, True),
        ({"at_least": "critical"}, False),
        ({"agent": "support-*"}, True),
        ({"agent": "billing-*"}, False),
        ({"pattern": "tool_loop", "agent": "*-bot", "at_least": "high"}, True),
        ({"pattern": "approval"}, False),
    ],
)
def test_a_route_lets_through_what_fits_all_of_it(admin, route, passes):
    channel = make_channel(admin.project, name="chat", takes_all=False)
    make_channel(admin.project, name="all")
    Route.objects.create(channel=channel, **route)
    expected = {"all", "chat"} if passes else {"all"}
    assert told(admin.project, about=ABOUT, severity="high") == expected


def test_one_of_several_routes_is_enough_and_none_lets_nothing_through(admin):
    channel = make_channel(admin.project, takes_all=False, name="chat")
    assert told(admin.project) == set()
    Route.objects.create(channel=channel, pattern="context_drift")
    Route.objects.create(channel=channel, pattern="tool_loop")
    assert told(admin.project, about=ABOUT) == {"chat"}
    # A digest is about several alerts at once.
    assert told(admin.project, about=(("budget", "a"), ("context_drift", "b"))) == {"chat"}


def test_what_tells_of_no_pattern_is_about_its_kind(admin):
    Route.objects.create(channel=make_channel(admin.project, takes_all=False, name="chat"), pattern="approval")
    assert told(admin.project, kind="approval.waiting") == {"chat"}
    assert told(admin.project, kind="alert.opened", about=ABOUT) == set()
    assert {"approval", "run", "channel", "tool_loop", "channel_failing"} <= set(subjects)


def test_an_alert_says_what_it_is_about(admin):
    Route.objects.create(channel=make_channel(admin.project, takes_all=False), pattern="tool_loop", agent="support-*")
    alert = raise_one(admin.project)
    assert (alert.pattern, alert.agent) == ("tool_loop", "support-desk")
    assert Channel.objects.get().delivery_set.count() == 1


@pytest.mark.parametrize(
    ("glob", "text", "fits"),
    [
        ("a*c", "abc", True), ("a*c", "ac", True), ("a*c", "ab", False), ("ab*ba", "aba", False), ("*", "", True),
        ("a", "a", True), ("a", "ab", False), ("*b*d*", "abcde", True), ("*d*b*", "abcde", False), ("[a]*", "a", False),
    ],
)  # fmt: skip
def test_a_star_stands_for_anything(glob, text, fits):
    assert _is_like(glob, text) is fits


def test_many_stars_take_no_time():
    assert not _is_like("*a" * 100 + "b", "a" * 100_000)


def test_routes_are_added_and_removed_on_their_page_and_audited(admin):
    channel, client = make_channel(admin.project, name="chat"), signed_in(admin)
    page = client.post(
        f"{PAGE}/add",
        {"channel": channel.pk, "pattern": "tool_loop", "at_least": "high", "agent": "<b>*"},
        follow=True,
    ).content.decode()
    assert "what its 1 route lets through" in page
    assert "<b>*" not in page
    client.post(f"/settings/channels/{channel.pk}/takes", {"takes": "all"})
    assert "not in use" in client.get(PAGE).content.decode()
    client.post(f"/settings/channels/{channel.pk}/takes", {"takes": "routes"})
    client.post(f"{PAGE}/{Route.objects.get().pk}/remove")
    page = client.get(PAGE).content.decode()
    assert re.search(r'<span class="bad">nothing</span>', page)
    trail = Entry.objects.of(admin.project).filter(action__startswith="channel.").order_by("seq")
    assert [entry.action for entry in trail] == [
        "channel.route_added",
        "channel.takes_changed",
        "channel.takes_changed",
        "channel.route_removed",
    ]
    assert trail[0].detail == {"route": "tool_loop of <b>*, high and above"}


def test_routes_of_another_project_are_not_there(admin):
    other = make_channel(name="other")
    route = Route.objects.create(channel=other)
    client = signed_in(admin)
    assert client.post(f"{PAGE}/{route.pk}/remove").status_code == 404
    assert client.post(f"{PAGE}/add", {"channel": other.pk, "at_least": "low"}).status_code == 422
    assert Route.objects.get() == route


def test_the_page_costs_as_much_for_many_channels(admin, django_assert_num_queries):
    client = signed_in(admin)
    for _ in range(5):
        Route.objects.create(channel=make_channel(admin.project, takes_all=False))
    client.get(PAGE)
    with django_assert_num_queries(3 + len(counters) + 2):  # signed in; the navigation; channels, routes
        client.get(PAGE)
