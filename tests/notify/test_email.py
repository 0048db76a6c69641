"""Mail as a mail server gets it: headers, text and HTML of hostile alerts, and servers in trouble."""

import re

import msgspec
import pytest

from agentops.accounts.models import Role
from agentops.notify.channels.base import FieldError
from agentops.notify.channels.email import checked_people
from agentops.notify.deliver import drain
from agentops.notify.models import Channel, Delivery
from agentops.notify.services import notify
from tests.builders import make_membership, make_user, signed_in
from tests.mailbox import Mailbox
from tests.notify.builders import let_pass, make_channel, make_message

pytestmark = pytest.mark.django_db

TO = "ana@example.com, oncall@example.com"
EVIL = "<img src=https://evil.example/x.png> see https://evil.example\r\nBcc: all@evil.example {{7*7}} \u202e"


@pytest.fixture
def mailbox(settings):
    with Mailbox() as mailbox:
        settings.ENV = msgspec.structs.replace(
            settings.ENV, email_url=f"smtp://127.0.0.1:{mailbox.port}?from=ops@example.com"
        )
        settings.DEFAULT_FROM_EMAIL = "ops@example.com"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", mailbox.port
        yield mailbox


@pytest.fixture
def admin():
    return make_membership(role=Role.ADMIN)


def tell(admin, to: str = TO, **fields: str) -> Delivery:
    channel = make_channel(admin.project, kind="email", config={"to": to})
    notify(admin.project, make_message(**fields), key="alert:1")
    drain(channel.pk)
    return Delivery.objects.get()


def test_a_mail_is_text_and_html_with_one_link_and_loads_nothing(admin, mailbox):
    delivery = tell(admin, title=EVIL, body=EVIL, url="/alerts/17")
    assert (delivery.state, delivery.last_status) == ("delivered", "accepted for 2 of 2")
    (mail,) = mailbox.mails
    assert mail["To"] == TO
    assert mail["From"] == "ops@example.com"
    assert mail["Bcc"] is None
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Message-ID"] == f"<{delivery.wire_id}@127.0.0.1>"
    assert len(mailbox.people) == 2
    text, html = (mail.get_body([kind]).get_content() for kind in ("plain", "html"))
    link = "http://127.0.0.1:8000/alerts/17"
    assert re.findall(r"\w+://[^\s\"<]+", text) == [link]
    assert re.findall(r"\w+://[^\s\"<]+", html) == [link]
    assert f'<a href="{link}">' in html
    assert not re.search(r"evil\.example|\b49\b", text + html)
    assert set(re.findall(r"<(\w+)", html)) == {"h2", "p", "div", "a", "small"}
    assert "https[:]//evil[.]example" in mail["Subject"]
    assert "[U+202E]" in html


def test_a_second_attempt_has_the_same_id(admin, mailbox):
    mailbox.says["DATA"] = ""  # hangs up
    delivery = tell(admin)
    assert (delivery.state, delivery.last_status) == ("pending", "no answer")
    mailbox.says.clear()
    let_pass(minutes=5)
    drain(delivery.channel_id)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == ("delivered", 2)
    assert mailbox.mails[0]["Message-ID"] == f"<{delivery.wire_id}@127.0.0.1>"


@pytest.mark.parametrize(
    ("says", "status"),
    [
        ({"MAIL": "550 no"}, "5xx"),
        ({"MAIL": "451 later"}, "4xx"),
        ({"RCPT": "550 nobody"}, "addresses refused"),
        ({"EHLO": "421 busy", "HELO": "421 busy"}, "4xx"),
    ],
)
def test_a_server_in_trouble_is_told_in_a_few_words(says, status, admin, mailbox):
    mailbox.says.update(says)
    delivery = tell(admin)
    assert (delivery.state, delivery.last_status) == ("pending", status)
    assert Channel.objects.get().state == "failing"


def test_an_address_that_the_server_refuses_is_counted(admin, mailbox):
    mailbox.says["RCPT TO:<ana"] = "550 nobody of that name"
    assert tell(admin).last_status == "accepted for 1 of 2"


def test_a_password_is_in_no_error_and_a_refused_one_is_said(admin, mailbox, settings, caplog, capsys):
    mailbox.says |= {"EHLO": "250-here\r\n250 AUTH PLAIN", "AUTH": "535 no such password t0psecret"}
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "ops", "t0psecret"
    assert tell(admin).last_status == "sign-in refused"
    assert "t0psecret" not in caplog.text + "".join(capsys.readouterr())


def test_without_addresses_the_admins_get_it(admin, mailbox):
    make_membership(admin.project, Role.VIEWER)
    make_membership(admin.project, Role.ADMIN, user=make_user(is_active=False))
    tell(admin, to="")
    assert mailbox.mails[0]["To"] == admin.user.email


def test_without_a_mail_server_the_page_says_what_is_missing(admin):
    page = signed_in(admin).get("/settings/channels/add?kind=email").content.decode()
    assert "Set EMAIL_URL" in page
    assert 'name="to"' not in page
    signed_in(admin).post("/settings/channels/add?kind=email", {"name": "ops", "to": TO})
    assert not Channel.objects.exists()
    delivery = tell(admin)
    assert (delivery.state, delivery.last_status) == ("pending", "no mail server set")


def test_a_channel_is_added_with_addresses(admin, mailbox):
    client = signed_in(admin)
    client.post("/settings/channels/add?kind=email", {"name": "ops", "to": "ana@example.com;oncall@example.com"})
    assert Channel.objects.get().config == {"to": TO}
    assert "2 addresses" in client.get("/settings/channels").content.decode()


@pytest.mark.parametrize(
    "text", ["ana", "ana@", "a@b.example\r\nBcc: c@d.example", ", ".join(["a@b.example"] * 21), " , "]
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(FieldError):
        checked_people(text)
