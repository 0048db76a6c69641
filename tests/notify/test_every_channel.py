"""What every kind of channel keeps to that people can set up and that is called by HTTP, found by being there."""

import re

import pytest

from agentops.accounts.models import Role
from agentops.audit.models import Entry
from agentops.notify.channels.base import Kind, kinds
from agentops.notify.deliver import drain
from agentops.notify.models import Channel, Delivery
from agentops.notify.services import notify
from tests.builders import make_membership, signed_in
from tests.notify.builders import let_pass, make_message
from tests.receivers import Receiver, answer, receiving

pytestmark = pytest.mark.django_db

HTTP = [name for name, kind in kinds().items() if any(field.name == "url" for field in kind.fields)]
HOSTILE = "<script>alert(1)</script> <!channel> @everyone [a](https://evil.example) \u202e`*_~|" + "x" * 5_000


@pytest.fixture
def admin():
    return make_membership(role=Role.ADMIN)


def values(kind: Kind, url: str) -> dict[str, str]:
    """What a person types: this address, and the like of what the form gives as examples."""
    return {field.name: url if field.name == "url" else f"{field.example[:-1]}9" for field in kind.fields}


def add(admin, name: str, receiver: Receiver) -> Channel:
    client = signed_in(admin)
    page = client.post(f"/settings/channels/add?kind={name}", {"name": "one", **values(kinds()[name], receiver.url)})
    assert page.status_code == 200, page.content.decode()
    return Channel.objects.get()


def test_the_channels_that_the_readme_names_are_there():
    assert {"slack", "discord", "teams", "pagerduty", "email", "webhook"} <= set(kinds())
    assert all(field.help for kind in kinds().values() for field in kind.fields)


@pytest.mark.parametrize("name", HTTP)
def test_a_message_arrives_with_a_link_to_its_page_whatever_its_text_is(name, admin, allow, settings):
    with receiving() as receiver:
        allow(receiver)
        channel = add(admin, name, receiver)
        notify(admin.project, make_message(HOSTILE, body=HOSTILE, url="/alerts/17"), key="alert:1")
        assert drain(channel.pk) is None
    (request,) = receiver.requests
    assert (request.method, request.headers["content-type"].partition(";")[0]) == ("POST", "application/json")
    assert f"{settings.ENV.agentops_public_url}/alerts/17".encode() in request.body
    assert len(request.body) < 28_000  # the least that one of the receivers takes
    assert Delivery.objects.get().last_status == "2xx"


@pytest.mark.parametrize("name", HTTP)
def test_a_receiver_that_asks_to_wait_is_left_alone_and_its_health_says_so(name, admin, allow):
    with Receiver() as receiver:
        receiver.behave = lambda line, _: line.sendall(
            answer(429, retry_after="77") if receiver.connections == 1 else answer(202)
        )
        allow(receiver)
        channel = add(admin, name, receiver)
        notify(admin.project, make_message(), key="alert:1")
        assert drain(channel.pk).total_seconds() == pytest.approx(77, abs=2)
        page = signed_in(admin).get(channel.get_absolute_url()).content.decode()
        assert re.search(r'<span class="bad">4xx</span> since', page)
        let_pass(seconds=80)
        assert drain(channel.pk) is None
    assert receiver.connections == 2
    channel.refresh_from_db()
    assert channel.state == "working"


@pytest.mark.parametrize("name", HTTP)
def test_the_test_button_says_how_it_went_and_what_is_secret_shows_nowhere(name, admin, allow, caplog, capsys):
    with receiving(answer(500, b"t0psecret")) as receiver:
        allow(receiver)
        channel = add(admin, name, receiver)
        client = signed_in(admin)
        page = client.post(f"{channel.get_absolute_url()}/test", follow=True).content.decode()
        notify(admin.project, make_message(), key="alert:1")
        drain(channel.pk)
    assert "The test did not arrive: 5xx" in page
    secret = list(channel.secrets().values())
    shown = caplog.text + "".join(capsys.readouterr()) + str(list(Entry.objects.values("detail")))
    shown += str(list(Delivery.objects.values())) + str(list(Channel.objects.values("config", "last_error")))
    for address in ("", "/edit", "/delete"):
        shown += client.get(f"{channel.get_absolute_url()}{address}").content.decode()
    assert secret
    assert not any(value in shown for value in [*secret, "t0psecret"])


@pytest.mark.parametrize("name", HTTP)
def test_an_address_inside_is_refused_when_it_is_typed(name, admin):
    page = signed_in(admin).post(
        f"/settings/channels/add?kind={name}",
        {"name": "one", **values(kinds()[name], "https://169.254.169.254/latest")},
    )
    assert (page.status_code, Channel.objects.count()) == (422, 0)
    assert "This address is not allowed." in page.content.decode()


@pytest.mark.parametrize("name", HTTP)
def test_another_name_keeps_what_is_secret_and_another_address_drops_it(name, admin, allow):
    kind = kinds()[name]
    typed = [field for field in kind.fields if field.is_secret]
    with receiving() as first, receiving() as second:
        allow(first, second)
        channel = add(admin, name, first)
        before, client = channel.secrets(), signed_in(admin)
        kept = {field.name: "" if field.is_secret else first.url for field in kind.fields}
        client.post(f"{channel.get_absolute_url()}/edit", {"name": "renamed", **kept})
        channel.refresh_from_db()
        assert (channel.name, channel.secrets()) == ("renamed", before)
        moved = kept | {"url": second.url}
        page = client.post(f"{channel.get_absolute_url()}/edit", {"name": "renamed", **moved})
        channel.refresh_from_db()
    again = [field for field in typed if field.is_required and field.name != "url"]
    if again:
        assert "Type it again: it was given for another receiver." in page.content.decode()
        assert channel.secrets() == before
    else:
        assert second.url in {channel.config.get("url"), channel.secrets().get("url")}
        assert not {field.name for field in typed if field.name != "url"} & set(channel.secrets())
