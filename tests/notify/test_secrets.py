"""Secrets of channels: sealed at rest, and in no log, no error and no row that is shown."""

import re

import pytest

from agentops.notify.deliver import drain
from agentops.notify.models import Channel, Delivery
from agentops.notify.services import notify
from tests.builders import make_project
from tests.notify.builders import let_pass, make_channel, make_message
from tests.receivers import answer, receiving

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return make_project()


def test_no_secret_reaches_the_logs_or_an_error(project, allow, caplog, capsys):
    with receiving(answer(500)) as receiver:
        allow(receiver)
        channel = make_channel(project, f"{receiver.url}/T0K3N", secrets={"header": "Authorization: Bearer h1dden"})
        notify(project, make_message(), key="alert:1")
        drain(channel.pk)
        Channel.objects.update(config={})
        let_pass(hours=1)
        drain(channel.pk)
    signing = channel.secrets()["signing"]
    written = caplog.text + "".join(capsys.readouterr()) + str(list(Channel.objects.values("last_error")))
    written += str(list(Delivery.objects.values()))
    assert "delivery_broke" in written
    assert not re.search(f"h1dden|T0K3N|{re.escape(signing)}", written)


def test_secrets_are_sealed_at_rest(project):
    channel = make_channel(project, secrets={"header": "Authorization: Bearer h1dden"})
    sealed = bytes(Channel.objects.get().sealed)
    assert b"h1dden" not in sealed
    assert channel.secrets()["signing"].encode() not in sealed
