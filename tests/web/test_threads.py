"""WSGI behind the asynchronous door: what the application is told, and how its answer goes out."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from agentops.web.asgi_types import Message
from agentops.web.threads import PART_BYTES, Threads

ABOUT = [
    (b"host", b"here"),
    (b"content-type", b"text/plain"),
    (b"content-length", b"4"),
    (b"x-a", b"1"),
    (b"x-a", b"2"),
]
SCOPE = {
    "type": "http",
    "http_version": "1.1",
    "method": "POST",
    "scheme": "http",
    "path": "/caf\u00e9",
    "query_string": b"q=1",
    "headers": ABOUT,
    "client": ("127.0.0.1", 5000),
    "server": ("127.0.0.1", 8000),
}


class Asked:
    """Asks an application one thing and keeps what it sent, with whether the application had ended by then."""

    def __init__(self, app: Any, first: Message | None = None) -> None:
        self.sent: list[Message] = []
        self.closed_before: list[bool] = []
        self.closed = False
        self._app = app
        self._first = first or {"type": "http.request", "body": b"body", "more_body": False}
        asyncio.run(asyncio.wait_for(Threads(self._run, count=1)(SCOPE, self._receive, self._send), 10))

    def _run(self, environ: Any, start_response: Any) -> Any:
        return Closing(self._app(environ, start_response), self)

    async def _receive(self) -> Message:
        return self._first

    async def _send(self, message: Message) -> None:
        self.sent.append(message)
        self.closed_before.append(self.closed)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)


class Closing:
    """What an application returns, as Django does: pieces, and something to be done when they are through."""

    def __init__(self, pieces: Any, asked: Asked) -> None:
        self._pieces, self._asked = pieces, asked

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces)

    def close(self) -> None:
        assert threading.current_thread() is not threading.main_thread()
        self._asked.closed = True


def test_an_application_is_told_all_of_a_request() -> None:
    told: dict[str, Any] = {}

    def app(environ: Any, start_response: Any) -> list[bytes]:
        told.update(environ)
        start_response("201 Created", [("X-B", " 1 "), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
        return [environ["wsgi.input"].read()]

    asked = Asked(app)
    assert asked.sent == [
        {
            "type": "http.response.start",
            "status": 201,
            "headers": [(b"x-b", b"1"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")],
        },
        {"type": "http.response.body", "body": b"body", "more_body": False},
    ]
    assert told["REQUEST_METHOD"] == "POST"
    assert told["PATH_INFO"].encode("latin-1").decode() == "/caf\u00e9"
    assert told["QUERY_STRING"] == "q=1"
    assert told["CONTENT_TYPE"] == "text/plain"
    assert told["CONTENT_LENGTH"] == "4"
    assert told["HTTP_HOST"] == "here"
    assert told["HTTP_X_A"] == "1,2"
    assert told["REMOTE_ADDR"] == "127.0.0.1"
    assert told["SERVER_PORT"] == "8000"


@pytest.mark.parametrize("piece", [b"", b"x", b"x" * 5 * PART_BYTES])
def test_an_answer_in_one_piece_is_sent_when_the_application_is_through(piece: bytes) -> None:
    def app(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [piece]

    asked = Asked(app)
    assert asked.body == piece
    assert asked.closed_before == [True, True]


def test_a_long_answer_is_sent_in_parts_while_it_is_made() -> None:
    def app(_environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        for number in range(40):
            yield bytes([number]) * 8192

    asked = Asked(app)
    assert asked.body == b"".join(bytes([number]) * 8192 for number in range(40))
    assert [message["type"] for message in asked.sent].count("http.response.start") == 1
    assert [len(message["body"]) for message in asked.sent[1:]] == [PART_BYTES] * 5
    assert [message["more_body"] for message in asked.sent[1:]] == [True] * 4 + [False]
    assert not asked.closed_before[0]
    assert asked.closed


def test_what_fails_is_closed_and_fails_for_the_server_too() -> None:
    seen: list[Asked] = []

    def app(_environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"half"
        raise ZeroDivisionError

    class Kept(Asked):
        def _run(self, environ: Any, start_response: Any) -> Any:
            seen.append(self)
            return super()._run(environ, start_response)

    with pytest.raises(ZeroDivisionError):
        Kept(app)
    assert seen[0].closed
    assert not seen[0].sent


def test_who_went_away_before_asking_is_nobodys_work() -> None:
    def app(_environ: Any, _start_response: Any) -> list[bytes]:
        raise AssertionError

    assert Asked(app, {"type": "http.disconnect"}).sent == []
