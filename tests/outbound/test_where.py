"""Where requests may go: hostile addresses of every kind are refused before anything is dialled."""

from collections.abc import Callable
from ipaddress import ip_network

import pytest

from agentops.outbound.client import request
from agentops.outbound.errors import OutboundError, Reason

PUBLIC = "203.0.113.7"  # documentation networks: nobody answers there

INSIDE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "metadata.google.internal",
    "metadata",
    "instance-data",
    "localhost",
    "localhost.",
    "api.localhost",
    "0",
    "0.0.0.0",  # noqa: S104
    "0x7f.1",
    "0x7f000001",
    "2130706433",
    "017700000001",
    "127.1",
    "1.2.3.4.",
    "[::]",
    "[::1]",
    "[::ffff:a9fe:a9fe]",
    "[::ffff:127.0.0.1]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::a9fe:a9fe]",
    "[2002:a9fe:a9fe::]",
    "[::127.0.0.1]",
    "[2001::1]",
    "[fe80::1]",
    "[fe80::1%25eth0]",
    "[fec0::1]",
    "[fd00:ec2::254]",
    "[ff02::1]",
    "100.64.0.1",
    "192.0.0.8",
    "168.63.129.16",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
]
NO_ADDRESS = [
    "https://user:pass@evil.example",
    "https://user@evil.example",
    "https://@evil.example",
    "https://good.com#@evil.example",
    "https://good.com\\@evil.example",
    "https://bücher.example/",
    "https://good.com\t/",
    "https://good.com/\n",
    "https://good.com/a b",
    "https://good.com/\x00",
    "https://[::1",
    "https://good.com:0/",
    "https://good.com:99999/",
    "https://good.com:x/",
    "https://%31%32%37.0.0.1/",
    "https://-good.com/",
    "https://good..com/",
    "https://",
    "https:///path",
    "//good.com/",
    "good.com",
    "ftp://good.com/",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "",
    "https://good.com/" + "a" * 2_000,
]


def to(*answers: str) -> Callable[[str, int], list[str]]:
    return lambda host, port: list(answers)


def refusal(url: str, **options: object) -> OutboundError:
    with pytest.raises(OutboundError) as refused:
        request("POST", url, **options)
    return refused.value


@pytest.mark.parametrize("host", INSIDE)
def test_addresses_of_our_own_network_are_refused_and_nothing_is_said_about_them(host, dialled):
    for url in (f"https://{host}/", f"http://{host}:9000/"):
        error = refusal(url)
        assert (error.reason, str(error)) == (Reason.NOT_ALLOWED, "This address is not allowed.")
    assert not dialled


@pytest.mark.parametrize("url", NO_ADDRESS)
def test_what_two_readers_could_understand_differently_is_no_address(url, dialled):
    assert refusal(url, resolve=to(PUBLIC)).reason is Reason.BAD_ADDRESS
    assert not dialled


@pytest.mark.parametrize(
    "answers",
    [
        ["127.0.0.1"],
        [PUBLIC, "127.0.0.1"],
        ["10.0.0.1", PUBLIC],
        ["::1"],
        ["fd00::1"],
        [PUBLIC, "::ffff:10.0.0.1"],
        ["64:ff9b::a00:1"],
        ["fe80::1%lo"],
    ],
)
def test_a_name_is_refused_when_any_of_its_answers_leads_inside(answers, dialled):
    assert refusal("https://hooks.example.com/", resolve=to(*answers)).reason is Reason.NOT_ALLOWED
    assert not dialled


def test_a_name_that_changes_its_answer_is_asked_once_and_dialled_where_it_was_checked(dialled):
    answers = iter([[PUBLIC], ["127.0.0.1"]])
    asked = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return next(answers)

    assert refusal("https://hooks.example.com/", resolve=rebinding).reason is Reason.NO_ANSWER
    assert asked == ["hooks.example.com"]
    assert dialled == [(PUBLIC, 443)]


def test_a_connection_that_ends_up_elsewhere_is_given_up(monkeypatch):
    from agentops.outbound import client
    from tests.receivers import receiving

    with receiving() as receiver:
        straight = client.dial
        monkeypatch.setattr(client, "dial", lambda place, port, timeout_s: straight("127.0.0.1", receiver.port, 1))
        assert refusal("https://hooks.example.com/", resolve=to(PUBLIC)).reason is Reason.NOT_ALLOWED
        assert not receiver.requests


def test_every_checked_address_is_tried_in_turn(dialled):
    assert refusal("https://hooks.example.com/", resolve=to(PUBLIC, "2606:4700::1")).reason is Reason.NO_ANSWER
    assert dialled == [(PUBLIC, 443), ("2606:4700::1", 443)]


@pytest.mark.parametrize("url", ["http://hooks.example.com/", "https://hooks.example.com:22/"])
def test_plain_http_and_unusual_ports_need_an_exception(url, dialled):
    assert refusal(url, resolve=to(PUBLIC)).reason is Reason.NOT_ALLOWED
    assert not dialled


def test_8443_is_a_usual_port(dialled):
    assert refusal("https://hooks.example.com:8443/", resolve=to(PUBLIC)).reason is Reason.NO_ANSWER
    assert dialled == [(PUBLIC, 8443)]


def test_a_public_address_behind_nat64_is_public(dialled):
    assert refusal("https://hooks.example.com/", resolve=to("64:ff9b::cb00:7107")).reason is Reason.NO_ANSWER


def test_an_exception_opens_its_network_and_port_only(settings, dialled):
    settings.OUTBOUND_ALLOW = ((ip_network("10.1.0.0/16"), 9000), (ip_network("fd00::/8"), 443))
    for url in ("http://10.1.2.3:9000/", "http://hooks:9000/", "https://[fd00::1]/"):
        assert refusal(url, resolve=to("10.1.2.3")).reason is Reason.NO_ANSWER, url
    for url in ("http://10.1.2.3:9001/", "http://10.2.2.3:9000/", "http://127.0.0.1:9000/"):
        assert refusal(url).reason is Reason.NOT_ALLOWED, url
    assert len(dialled) == 3


def test_no_exception_opens_the_installation_itself(settings, dialled):
    settings.OUTBOUND_ALLOW = ((ip_network("127.0.0.0/8"), 8000), (ip_network("10.0.0.0/8"), 443))
    settings.OUTBOUND_OWN_ORIGINS = frozenset({("127.0.0.1", 8000), ("agentops.example.com", 443)})
    for url in ("http://127.0.0.1:8000/", "http://localhost:8000/", "http://[::ffff:127.0.0.1]:8000/"):
        assert refusal(url, resolve=to("127.0.0.1")).reason is Reason.NOT_ALLOWED
    for url in ("https://agentops.example.com/api/v1/approvals", "https://AgentOps.example.com./"):
        assert refusal(url, resolve=to("10.0.0.1")).reason is Reason.NOT_ALLOWED
    assert not dialled


def test_a_name_nobody_knows_is_said_unless_it_could_be_ours(dialled):
    def unknown(host: str, port: int) -> list[str]:
        raise OSError("Name or service not known")

    assert refusal("https://hooks.example.com/", resolve=unknown).reason is Reason.NOT_FOUND
    assert refusal("https://vault.internal/", resolve=unknown).reason is Reason.NOT_ALLOWED
