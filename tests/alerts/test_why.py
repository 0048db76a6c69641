"""The pages that say why there is an alert, or none."""

import re
from typing import Any

import pytest
from django.test import Client

from agentops.accounts.models import Membership, Role
from agentops.notify.deliver import drain
from agentops.notify.models import Delivery
from agentops.notify.routing import add_route
from agentops.web.navigation import counters
from tests.alerts.builders import looping, make_finding, make_trace, raise_one, run_jobs, silence_one
from tests.alerts.test_pages import SIGNED_IN, page
from tests.builders import make_membership, make_project, signed_in
from tests.notify.builders import let_pass, make_channel
from tests.traces.builders import send
from traces.alerts.grouping import bring
from traces.alerts.models import Alert

pytestmark = pytest.mark.django_db


@pytest.fixture
def member() -> Membership:
    return make_membership(role=Role.VIEWER)


@pytest.fixture
def client(member: Membership) -> Client:
    client = signed_in(member)
    client.get("/accounts/profile")
    return client


def test_an_alert_says_why_it_is_there_and_what_became_of_its_messages(client: Client, member: Membership) -> None:
    make_channel(member.project, name="on call")
    send(member.project, *looping("the loop", calls=5))
    run_jobs()
    alert = Alert.objects.get()
    assert f'href="/alerts/{alert.pk}/why"' in page(client, f"/alerts/{alert.pk}")
    content = page(client, f"/alerts/{alert.pk}/why")
    for words in (
        "min_repeats = 5",
        "ToolLoop, repeated_call",
        "none covers it now",
        "on call",
        "not yet",
        "told at once",
    ):
        assert words in content, words


def test_an_alert_says_of_each_attempt_when_it_was_what_was_answered_and_when_the_next_is(
    client: Client, member: Membership
) -> None:
    channel = make_channel(member.project, "https://127.0.0.1/", name="on call")
    alert = raise_one(member.project)
    drain(channel.pk)
    let_pass(seconds=10)
    drain(channel.pk)
    first, second = re.findall(r"<li>(.*?)</li>", page(client, f"/alerts/{alert.pk}/why").partition("Each attempt")[2])
    assert re.search(r"1\. <time.*: not allowed, .*\bms", first)
    assert "next" not in first
    assert re.search(r"2\. <time.*: not allowed, .*\bms.*next <time", second)
    assert Delivery.objects.get().next_at.isoformat() in second


def test_an_alert_says_which_channels_do_not_take_it(client: Client, member: Membership) -> None:
    channel = make_channel(member.project, name="on call")
    add_route(channel, pattern="bad_signature", at_least="low", agent="", by=member.user)
    alert = raise_one(member.project)
    assert "its routes do not let it through" in page(client, f"/alerts/{alert.pk}/why")


def test_an_alert_that_is_held_back_says_by_what(client: Client, member: Membership) -> None:
    silence = silence_one(member.project, member.user, agent="support-*")
    alert = raise_one(member.project)
    content = page(client, f"/alerts/{alert.pk}/why")
    assert "nobody was told yet" in content
    assert content.count(f'href="/silences/{silence.pk}"') == 2


def test_a_trace_says_what_became_of_each_finding_and_what_each_detector_made_of_it(
    client: Client, member: Membership
) -> None:
    trace = make_trace(member.project, "calm")
    assert "Why no alert" in page(client, "/traces/calm")
    assert "no detector has read it" in page(client, "/why/calm")
    run_jobs()
    content = page(client, "/why/calm")
    assert "no rule below was met" in content
    assert "ToolLoop</span> <span>nothing" in content
    for fields in ({"backfill": True}, {"kind": "provenance"}, {"tool_name": "x"}):
        bring(make_finding(member.project, trace, **fields))
    make_finding(member.project, trace)
    content = page(client, f"/why/{trace.id_hex}")
    for words in ("it came with an import", "raise none by themselves", "on an alert, open", "comes in a moment"):
        assert words in content, words


def test_the_pages_cost_the_same_whatever_they_explain(
    client: Client, member: Membership, django_assert_num_queries: Any
) -> None:
    make_channel(member.project)
    for n in (1, 4):
        for _ in range(n):
            alert = raise_one(member.project, make_trace(member.project, f"t{n}") if _ == 0 else None)
        for path, cost in {f"/alerts/{alert.pk}/why": 8, f"/why/t{n}": 3}.items():
            with django_assert_num_queries(SIGNED_IN + len(counters) + cost):
                page(client, path)


def test_what_belongs_to_another_project_is_not_explained(client: Client) -> None:
    assert client.get(f"/alerts/{raise_one(make_project()).pk}/why").status_code == 404
