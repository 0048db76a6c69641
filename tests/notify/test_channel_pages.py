"""The settings pages of channels: who sees what, secrets that are shown once, and what a change does to them."""

import re

import pytest
from django.test import Client

from agentops.accounts.models import Role
from agentops.audit.models import Entry
from agentops.notify.deliver import MOST_KEPT, begin_next, drain
from agentops.notify.models import Attempt, Channel, DeliverJob, Delivery
from agentops.notify.services import notify
from agentops.web.navigation import counters
from tests.builders import make_membership, signed_in
from tests.notify.builders import let_pass, make_channel, make_message
from tests.receivers import answer, receiving

pytestmark = pytest.mark.django_db

ADD = "/settings/channels/add"
SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]{20,}")


@pytest.fixture
def admin():
    return make_membership(role=Role.ADMIN)


@pytest.fixture
def client(admin) -> Client:
    return signed_in(admin)


def text(response) -> str:
    return response.content.decode()


def shown_secret(response) -> str:
    return SECRET.search(text(response))[0]


def test_a_webhook_is_added_and_its_secret_is_shown_once(client, admin):
    page = client.post(ADD, {"name": "pager", "url": "https://hooks.example.com/T/1", "header": "X-Key: h1dden-abcd"})
    channel = Channel.objects.get()
    assert shown_secret(page) == channel.secrets()["signing"]
    assert channel.secrets()["header"] == "X-Key: h1dden-abcd"
    for address in (channel.get_absolute_url(), "/settings/channels", f"{channel.get_absolute_url()}/edit"):
        page = text(client.get(address))
        assert not SECRET.search(page)
        assert "h1dden" not in page
    assert re.search("…<bdi[^>]*>abcd<", text(client.get(channel.get_absolute_url())))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"url": "https://10.0.0.1/"}, "This address is not allowed."),
        ({"url": "https://169.254.169.254/latest"}, "This address is not allowed."),
        ({"url": "https://user:pass@evil.example/"}, "Leave name and password out of the address."),
        ({"url": "https://good.com\\@evil.example/"}, "Write the address in plain ASCII"),
        ({"url": "https://good.com/\ta"}, "Write the address in plain ASCII"),
        ({"url": ""}, "This field is required."),
        ({"url": "https://a.example/", "header": "Host: b"}, "The header Host is ours to set."),
        ({"url": "https://a.example/", "header": "X: a\r\nY: b"}, "Write one header as Name: value."),
        ({"url": "https://a.example/", "name": "pager"}, "Another channel has this name."),
    ],
)
def test_what_cannot_be_used_is_said_beside_its_field(client, admin, fields, says):
    make_channel(admin.project, name="pager")
    page = client.post(ADD, {"name": "hooks", **fields})
    assert page.status_code == 422
    assert says in text(page)
    assert Channel.objects.count() == 1


def test_another_address_drops_every_secret_and_a_new_one_is_shown(client, admin):
    channel = make_channel(admin.project, secrets={"header": "X-Key: h1dden"}, gone_at="2026-01-01T00:00Z", failures=9)
    before = channel.secrets()
    page = client.post(f"{channel.get_absolute_url()}/edit", {"name": "moved", "url": "https://other.example.com/"})
    channel.refresh_from_db()
    assert shown_secret(page) == channel.secrets()["signing"] != before["signing"]
    assert set(channel.secrets()) == {"signing"}
    assert (channel.name, channel.state, channel.failures) == ("moved", "unused", 0)


def test_another_name_keeps_the_secrets_and_a_saved_header_can_be_removed(client, admin):
    channel = make_channel(admin.project, secrets={"header": "X-Key: h1dden"})
    before, form = channel.secrets(), {"name": "renamed", "url": channel.config["url"]}
    assert not SECRET.search(text(client.post(f"{channel.get_absolute_url()}/edit", form)))
    channel.refresh_from_db()
    assert channel.secrets() == before
    client.post(f"{channel.get_absolute_url()}/edit", {**form, "forget": "on"})
    channel.refresh_from_db()
    assert channel.secrets() == {"signing": before["signing"]}


def test_a_new_signing_secret_leaves_the_header(client, admin):
    channel = make_channel(admin.project, secrets={"header": "X-Key: h1dden"})
    before = channel.secrets()
    page = client.post(f"{channel.get_absolute_url()}/secret")
    channel.refresh_from_db()
    assert channel.secrets() == {**before, "signing": shown_secret(page)}
    assert channel.secrets() != before


def test_secrets_sealed_with_another_key_are_made_anew_and_break_no_page(client, admin):
    channel = make_channel(admin.project, sealed=b"sealed with another key")
    assert client.get(channel.get_absolute_url()).status_code == 200
    assert client.get(f"{channel.get_absolute_url()}/edit").status_code == 200
    page = client.post(f"{channel.get_absolute_url()}/secret")
    channel.refresh_from_db()
    assert channel.secrets()["signing"] == shown_secret(page)


@pytest.mark.parametrize(("raw", "says"), [(answer(200), "2xx"), (answer(503, b"t0psecret"), "5xx")])
def test_a_test_tells_the_status_class_and_the_time_and_nothing_else(client, admin, allow, raw, says):
    with receiving(raw) as receiver:
        allow(receiver)
        channel = make_channel(admin.project, receiver.url)
        page = text(client.post(f"{channel.get_absolute_url()}/test", follow=True))
    assert re.search(rf"The test (arrived|did not arrive): {says}, [\d.]+\s+s\.", page)
    assert "t0psecret" not in page
    assert not re.search(r"\b503\b", page)  # the number of a port may hold these digits
    assert b"channel.test" in receiver.requests[0].body
    channel.refresh_from_db()
    assert channel.state == "unused"


def test_a_channel_shows_each_attempt_one_by_one(client, admin, allow):
    with receiving(answer(503, b"t0psecret")) as receiver:
        allow(receiver)
        channel = make_channel(admin.project, receiver.url)
        notify(admin.project, make_message(), key="alert:1")
        for _ in range(2):
            drain(channel.pk)
            let_pass(minutes=1)
    begin_next(channel.pk)  # and then its process is gone
    attempts = re.findall(
        r"<li><span>(\d+)\. <time.*?</time>: (.*?)</span>", text(client.get(channel.get_absolute_url()))
    )
    assert [number for number, _ in attempts] == ["1", "2", "3"]
    assert [answer.partition(",")[0] for _, answer in attempts] == ["5xx", "5xx", "no answer was noted"]


def test_of_one_delivery_the_newest_attempts_are_kept(admin):
    channel = make_channel(admin.project)
    notify(admin.project, make_message(), key="alert:1")
    Delivery.objects.update(attempts=MOST_KEPT)
    Attempt.objects.create(delivery=Delivery.objects.get(), number=1)
    begin_next(channel.pk)
    assert [attempt.number for attempt in Attempt.objects.all()] == [MOST_KEPT + 1]


def test_a_test_of_an_address_inside_says_not_allowed(client, admin):
    channel = make_channel(admin.project, "https://192.168.0.1/")
    page = text(client.post(f"{channel.get_absolute_url()}/test", follow=True))
    assert "The test did not arrive: not allowed, " in page


def test_a_channel_is_paused_and_resumed(client, admin):
    channel = make_channel(admin.project)
    client.post(f"{channel.get_absolute_url()}/pause")
    assert notify(admin.project, make_message(), key="alert:1") == []
    assert "Paused: what is told meanwhile never goes here." in text(client.get(channel.get_absolute_url()))
    client.post(f"{channel.get_absolute_url()}/resume")
    assert len(notify(admin.project, make_message(), key="alert:2")) == 1
    assert DeliverJob.objects.get().channel == channel


def test_a_deleted_channel_forgets_its_address_and_secrets_and_keeps_what_it_delivered(client, admin):
    channel = make_channel(admin.project, name="pager")
    notify(admin.project, make_message(), key="alert:1")
    assert "1 message that waits for it will not be sent" in text(client.get(f"{channel.get_absolute_url()}/delete"))
    client.post(f"{channel.get_absolute_url()}/delete")
    channel.refresh_from_db()
    assert (channel.name, channel.config, bytes(channel.sealed)) == ("pager", {}, b"")
    assert (Delivery.objects.get().state, Delivery.objects.get().last_status) == ("failed", "channel deleted")
    assert client.get(channel.get_absolute_url()).status_code == 404


def test_every_change_is_in_the_audit_trail_without_a_secret(client, admin):
    client.post(ADD, {"name": "pager", "url": "https://hooks.example.com/T0K3N", "header": "X-Key: h1dden"})
    channel = Channel.objects.get()
    address = channel.get_absolute_url()
    client.post(f"{address}/edit", {"name": "moved", "url": "https://b.example.com/", "header": "X-Key: h1dden"})
    for action in ("secret", "pause", "resume", "delete"):
        client.post(f"{address}/{action}")
    trail = Entry.objects.of(admin.project).filter(action__startswith="channel.").order_by("seq")
    assert [entry.action.removeprefix("channel.") for entry in trail] == [
        "created",
        "changed",
        "secret_renewed",
        "paused",
        "resumed",
        "deleted",
    ]
    assert not re.search("whsec_|h1dden|T0K3N", str([entry.detail for entry in trail]))


def test_a_viewer_sees_how_channels_do_and_not_where_exactly_they_lead(admin):
    channel = make_channel(admin.project, "https://hooks.example.com/T0K3N", last_error="5xx")
    viewer = signed_in(make_membership(admin.project, Role.VIEWER))
    for address in ("/settings/channels", channel.get_absolute_url()):
        page = text(viewer.get(address))
        assert "hooks.example.com" in page
        assert "T0K3N" not in page
        assert "Send a test" not in page
        assert "Secret, " not in page


def test_hostile_names_and_messages_are_text(client, admin):
    channel = make_channel(admin.project, name="<script>alert(1)</script>\u202e")
    notify(admin.project, make_message("<img src=x onerror=alert(1)>"), key="alert:1")
    for address in ("/settings/channels", channel.get_absolute_url(), f"{channel.get_absolute_url()}/delete", "/feed"):
        page = text(client.get(address))
        assert "<script>alert" not in page
        assert "<img src=x" not in page


def test_the_list_costs_one_query_however_many_channels(client, admin, django_assert_num_queries):
    make_channel(admin.project)
    client.get("/settings/channels")
    for _ in range(10):
        make_channel(admin.project)
    with django_assert_num_queries(3 + len(counters) + 1):  # session, user, memberships; the navigation; channels
        client.get("/settings/channels")
