"""The server takes connections itself: at once while it has no senders, and later the more it has."""

import http.client
import select
import socket
from collections.abc import Iterator
from threading import Thread
from typing import Any

import pytest
import uvicorn

from agentops.web import server as module
from agentops.web.asgi_types import Receive, Scope, Send
from agentops.web.senders import PAUSE_MAX_S, senders
from agentops.web.server import Server

LONG_S = 2.0


async def app(scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": scope["method"][:2].encode()})


class Pause:
    """What the server is told to wait before it takes a connection."""

    seconds = 0.0

    def __call__(self, _there: object) -> float:
        return self.seconds


@pytest.fixture
def pause(monkeypatch: pytest.MonkeyPatch) -> Pause:
    pause = Pause()
    monkeypatch.setattr(senders, "pause_s", pause)
    return pause


@pytest.fixture
def door(pause: Pause) -> Iterator[socket.socket]:
    """Where a server of this process serves, and where others may take connections as well."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.setblocking(False)
        config = uvicorn.Config(app, http="httptools", lifespan="off", log_config=None, timeout_graceful_shutdown=1)
        server = Server(config, door)
        thread = Thread(target=server.run)
        thread.start()
        yield door
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


def ask(door: socket.socket) -> bytes:
    connection = http.client.HTTPConnection(*door.getsockname(), timeout=10)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read()
    finally:
        connection.close()


def test_a_connection_is_left_to_whoever_is_sooner_and_the_next_is_taken(door: socket.socket, pause: Pause) -> None:
    assert ask(door) == b"GE"
    pause.seconds = LONG_S
    with socket.create_connection(door.getsockname(), timeout=10) as client:
        assert select.select([door], [], [], LONG_S / 2)[0]
        other, address = door.accept()
        with other:
            assert address == client.getsockname()
    assert ask(door) == b"GE", "who has senders takes what nobody else wants"
    pause.seconds = 0
    assert ask(door) == b"GE"


@pytest.mark.parametrize("seconds", [0, PAUSE_MAX_S])
def test_all_who_wait_are_served(door: socket.socket, pause: Pause, seconds: float) -> None:
    pause.seconds = seconds
    clients = [http.client.HTTPConnection(*door.getsockname(), timeout=10) for _ in range(30)]
    for client in clients:
        client.connect()
    for client in clients:
        client.request("GET", "/")
    assert [client.getresponse().read() for client in clients] == [b"GE"] * 30
    for client in clients:
        client.close()


def test_one_connection_that_cannot_be_served_stops_no_other(
    door: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[Any] = []

    def broken(self: Server) -> Any:
        if not failures:
            failures.append(self)
            raise RuntimeError("no protocol today")
        return whole(self)

    whole = Server._protocol
    monkeypatch.setattr(module, "NO_ROOM_S", 0.01)
    monkeypatch.setattr(Server, "_protocol", broken)
    with pytest.raises((OSError, http.client.HTTPException)):
        ask(door)
    assert ask(door) == b"GE"
    assert failures
