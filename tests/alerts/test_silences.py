"""Silences by pattern, agent and tool: what they hold back, how they end, and their pages."""

from typing import Any

import pytest
from django.db.models import F
from django.test import Client

from agentops.accounts.models import Membership, Role
from agentops.audit.models import Entry
from agentops.notify.models import Delivery, FeedItem
from agentops.web.navigation import counters
from tests.alerts.builders import make_trace, raise_one, silence_one
from tests.alerts.test_pages import SIGNED_IN, page, say
from tests.builders import make_membership, signed_in
from tests.notify.builders import make_channel
from traces.alerts import calm, services
from traces.alerts.models import Alert, Verdict
from traces.alerts.silences import HeldBack, Silence

pytestmark = pytest.mark.django_db


@pytest.fixture
def member() -> Membership:
    return make_membership(role=Role.OPERATOR)


@pytest.fixture
def client(member: Membership) -> Client:
    client = signed_in(member)
    client.get("/accounts/profile")
    return client


@pytest.mark.parametrize(
    ("about", "is_silent"),
    [
        ({"pattern": "tool_loop"}, True),
        ({"pattern": "bad_signature"}, False),
        ({"agent": "support-*"}, True),
        ({"agent": "*-desk"}, True),
        ({"agent": "support"}, False),
        ({"agent": "support_desk"}, False),
        ({"agent": "%"}, False),
        ({"agent": "*"}, True),
        ({"tool_name": "search_database"}, True),
        ({"tool_name": "search_*", "agent": "refund-bot"}, False),
        ({"tool_name": "\\*"}, False),
    ],
    ids=str,
)
def test_a_silence_covers_what_fits_all_that_it_says(
    member: Membership, about: dict[str, str], is_silent: bool
) -> None:
    silence = silence_one(member.project, member.user, **about)
    alert = raise_one(member.project)
    assert FeedItem.objects.exists() is not is_silent
    assert Alert.objects.heard().exists() is not is_silent
    assert (Alert.objects.with_silence().get().silenced_until is not None) is is_silent
    assert HeldBack.objects.filter(silence=silence, alert=alert, news="opened").exists() is is_silent


def test_at_its_end_what_is_open_is_told_once_and_what_somebody_has_is_not(member: Membership) -> None:
    project, user = member.project, member.user
    make_channel(project)
    silence = silence_one(project, user, pattern="tool_loop")
    trace = make_trace(project)
    one, taken, over = (raise_one(project, trace, tool_name=name) for name in ("a", "b", "c"))
    services.acknowledge(taken, by=user)
    services.resolve(over, by=user, verdict=Verdict.TRUE_POSITIVE)
    calm.tell_what_was_silenced()
    assert not Delivery.objects.exists()
    assert services.end(silence, by=user)
    assert not services.end(silence, by=user)
    for _ in range(2):
        calm.tell_what_was_silenced()
    delivery = Delivery.objects.get()
    assert delivery.content().title == f"After a silence, still open: {one.title}"
    assert delivery.content().kind == "alert.opened"
    one.refresh_from_db()
    assert one.told_key == delivery.key
    assert dict(HeldBack.objects.values_list("alert__tool_name", "told_key")) == {"a": delivery.key, "b": "", "c": ""}
    assert not HeldBack.objects.filter(settled_at=None).exists()
    actions = (
        Entry.objects.of(project).filter(target_kind="silence").order_by("seq").values_list("action", "actor_name")
    )
    assert list(actions) == [("silence.added", str(user.email)), ("silence.ended", str(user.email))]


def test_many_that_are_open_after_a_silence_share_a_message(member: Membership) -> None:
    make_channel(member.project)
    silence = silence_one(member.project, member.user, agent="*")
    trace = make_trace(member.project)
    for n in range(5):
        raise_one(member.project, trace, tool_name=f"tool {n}", explanation=f"It failed at {n}.")
    Silence.objects.update(until=F("created_at"))
    calm.tell_what_was_silenced()
    message = Delivery.objects.get().content()
    assert message.title == "After a silence, 5 alerts are still open"
    assert all(f"It failed at {n}" in message.body for n in range(5))
    assert set(Alert.objects.values_list("told_key", flat=True)) == {Delivery.objects.get().key}
    assert silence.held.count() == 5


def test_pages_list_add_and_end_silences_and_show_what_each_held_back(client: Client, member: Membership) -> None:
    assert "Nothing is silenced" in page(client, "/silences")
    assert client.post("/silences/add", {"hours": "8", "reason": "no"}).status_code == 422
    form = {"pattern": "tool_loop", "agent": "support-*", "hours": "8", "reason": "The <index> is rebuilt."}
    content = say(client, "/silences/add", **form)
    assert "The &lt;index&gt; is rebuilt." in content
    silence = Silence.objects.get()
    alert = raise_one(member.project)
    alert_page = page(client, f"/alerts/{alert.pk}")
    assert f'href="/silences/{silence.pk}"' in alert_page
    assert "Hear it again" not in alert_page
    content = page(client, f"/silences/{silence.pk}")
    assert "1 message" in content
    assert alert.title in content
    assert "support-*" in page(client, "/silences")
    assert "What is still open is told now" in say(client, f"/silences/{silence.pk}/end")
    assert f"by {member.user}" in page(client, "/silences")
    assert "It was over already" in say(client, f"/silences/{silence.pk}/end")


def test_the_list_of_silences_costs_the_same_however_long(
    client: Client, member: Membership, django_assert_num_queries: Any
) -> None:
    for rows in (1, 12):
        for n in range(rows):
            silence_one(member.project, member.user, tool_name=f"{rows} {n}")
        for path, cost in {"/silences": 1, f"/silences/{Silence.objects.latest('id').pk}": 2}.items():
            with django_assert_num_queries(SIGNED_IN + len(counters) + cost):
                page(client, path)


def test_who_may_only_read_sees_silences_and_adds_none(member: Membership) -> None:
    viewer = signed_in(make_membership(member.project, Role.VIEWER))
    silence = silence_one(member.project, member.user, pattern="tool_loop")
    assert "may read silences" in page(viewer, "/silences")
    assert "End it" not in page(viewer, f"/silences/{silence.pk}")
    assert viewer.post(f"/silences/{silence.pk}/end").status_code == 403
