"""What goes over the wire, and receivers that try to hold or flood us."""

import gzip
import socket
import time

import pytest

from agentops.outbound import client
from agentops.outbound.client import request
from agentops.outbound.errors import OutboundError, Reason
from tests.outbound.conftest import server_context
from tests.receivers import OK, Receiver, Request, answer, receiving


def failure(url: str, **options: object) -> Reason:
    with pytest.raises(OutboundError) as failed:
        request("POST", url, **{"body": b"{}", **options})
    return failed.value.reason


def test_a_request_arrives_as_it_was_meant(allow):
    with receiving(answer(202, b"thanks", x_note="hi")) as receiver:
        allow(receiver.port)
        got = request("POST", receiver.url + "?a=1", headers={"Webhook-Id": "m1"}, body=b'{"a":1}')
    assert (got.status, got.body, got.headers["x-note"]) == (202, b"thanks", "hi")
    (seen,) = receiver.requests
    assert (seen.method, seen.target, seen.body) == ("POST", "/hook?a=1", b'{"a":1}')
    assert seen.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert seen.headers["webhook-id"] == "m1"
    assert seen.headers["accept-encoding"] == "identity"
    assert "cookie" not in seen.headers


def test_tls_is_spoken_with_the_name_that_was_typed(allow, trusted):
    with receiving(tls=trusted) as receiver:
        allow(receiver.port)
        url = f"https://hooks.example.com:{receiver.port}/hook"
        assert request("POST", url, resolve=lambda host, port: ["127.0.0.1"]).status == 200
    assert receiver.requests[0].headers["host"] == f"hooks.example.com:{receiver.port}"


def test_a_certificate_for_another_name_ends_the_request(allow, trusted):
    with receiving(tls=trusted) as receiver:
        allow(receiver.port)
        url = f"https://other.example.com:{receiver.port}/hook"
        assert failure(url, resolve=lambda host, port: ["127.0.0.1"]) is Reason.BAD_CERTIFICATE
    assert not receiver.requests


def test_a_certificate_that_nobody_vouches_for_ends_the_request(allow, tmp_path):
    client._tls.cache_clear()
    with receiving(tls=server_context(tmp_path, "hooks.example.com")) as receiver:
        allow(receiver.port)
        url = f"https://hooks.example.com:{receiver.port}/hook"
        assert failure(url, resolve=lambda host, port: ["127.0.0.1"]) is Reason.BAD_CERTIFICATE
    assert not receiver.requests


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_answer_and_is_not_followed(status, allow):
    with receiving() as secret, receiving(answer(status, location=secret.url)) as receiver:
        allow(receiver.port, secret.port)
        assert request("POST", receiver.url).status == status
    assert not secret.requests


def test_the_environment_names_no_proxy(allow, monkeypatch):
    with receiving() as proxy, receiving() as receiver:
        allow(receiver.port)
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert request("POST", receiver.url).status == 200
    assert not proxy.requests


def flood(line: socket.socket, request: Request) -> None:
    line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")
    sent = 0
    while sent < 64_000_000:
        sent += line.send(b"a" * 65_536)


def test_ten_gigabytes_are_not_read(allow):
    with Receiver(flood) as receiver:
        allow(receiver.port)
        begin = time.monotonic()
        assert failure(receiver.url) is Reason.TOO_LARGE
    assert time.monotonic() - begin < 30  # at this speed they would take minutes


def test_sixty_thousand_bytes_are_read(allow):
    with receiving(answer(200, b"a" * 60_000)) as receiver:
        allow(receiver.port)
        assert len(request("POST", receiver.url).body) == 60_000


def test_a_gzip_bomb_stays_packed(allow):
    bomb = gzip.compress(b"\0" * 20_000_000)
    with receiving(answer(200, bomb, content_encoding="gzip")) as receiver:
        allow(receiver.port)
        assert request("POST", receiver.url).body == bomb


def drip(line: socket.socket, request: Request) -> None:
    line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(1000):
        line.sendall(b"a")
        time.sleep(0.1)


def endless_headers(line: socket.socket, request: Request) -> None:
    line.sendall(b"HTTP/1.1 200 OK\r\n")
    for number in range(1000):
        line.sendall(f"X-{number}: 1\r\n".encode())
        time.sleep(0.1)


def interim_answers(line: socket.socket, request: Request) -> None:
    for _ in range(1000):
        line.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.1)


def silence(line: socket.socket, request: Request) -> None:
    time.sleep(100)


@pytest.mark.parametrize("behave", [drip, endless_headers, interim_answers, silence])
def test_the_whole_exchange_is_bounded_whatever_the_receiver_does(behave, allow):
    with Receiver(behave) as receiver:
        allow(receiver.port)
        begin = time.monotonic()
        assert failure(receiver.url, timeout_s=0.6) is Reason.TIMED_OUT
    assert 0.5 < time.monotonic() - begin < 30  # left alone it takes 100 s


def test_a_receiver_that_never_reads_is_bounded_too(allow):
    with socket.create_server(("127.0.0.1", 0)) as door:
        allow(door.getsockname()[1])
        url = f"http://127.0.0.1:{door.getsockname()[1]}/"
        assert failure(url, body=b"a" * 30_000_000, timeout_s=0.6) is Reason.TIMED_OUT


def test_a_resolver_that_hangs_is_left_behind():
    def slow(host: str, port: int) -> list[str]:
        time.sleep(100)
        return []

    begin = time.monotonic()
    assert failure("https://hooks.example.com/", resolve=slow, timeout_s=0.3) is Reason.TIMED_OUT
    assert time.monotonic() - begin < 30


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 40_000,
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n",
    ],
)
def test_what_is_not_http_is_no_answer(raw, allow):
    with receiving(raw) as receiver:
        allow(receiver.port)
        assert failure(receiver.url) is Reason.BAD_ANSWER


def test_a_closed_port_is_no_answer(allow):
    with receiving() as receiver:
        allow(receiver.port)
    assert failure(receiver.url) is Reason.NO_ANSWER


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Note": "a\r\nX-Evil: 1"},
        {"X-Note": "a\nb"},
        {"X-Note\r\nX-Evil": "1"},
        {"X-Note": "\x00"},
        {"X-Note": "ü"},
        {"X Note": "a"},
    ],
)
def test_no_value_becomes_another_header(headers, allow):
    with receiving() as receiver:
        allow(receiver.port)
        assert failure(receiver.url, headers=headers) is Reason.BAD_ADDRESS
    assert not receiver.connections


def test_callers_do_not_choose_host_or_length(allow):
    with receiving(OK) as receiver:
        allow(receiver.port)
        request("POST", receiver.url, headers={"Host": "evil.example", "Content-Length": "0"}, body=b"abc")
    assert receiver.requests[0].headers["host"] == f"127.0.0.1:{receiver.port}"
    assert receiver.requests[0].body == b"abc"


def test_an_error_names_neither_the_address_nor_its_secrets(allow):
    with receiving() as receiver:
        allow(receiver.port)
    with pytest.raises(OutboundError) as failed:
        request("POST", f"{receiver.url}/T0K3N?key=s3cret", headers={"Authorization": "Bearer s3cret"})
    assert str(failed.value) == "The host cannot be reached."
    assert failed.value.__cause__ is None
