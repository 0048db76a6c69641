"""The web server of `up`: uvicorn, with connections shared fairly among the processes that listen at one door.

`python -m agentops.web.server FD` serves at a socket that listens already. Uvicorn alone takes all connections that
wait the moment it wakes: of four exporters three or four may come to one of two processes, and stay there for hours.
"""

import asyncio
import socket
import sys
from collections.abc import Sequence
from typing import cast

import structlog
import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from agentops.web.senders import PAUSE_MAX_S, Client, senders

AT_ONCE = 8  # connections taken after the longest pause
NO_ROOM_S = 1.0  # until we look again, where this process may open no more files

log = structlog.get_logger(__name__)


class Server(uvicorn.Server):
    """One that takes connections itself, sooner or later by how many senders it has."""

    def __init__(self, config: uvicorn.Config, door: socket.socket) -> None:
        super().__init__(config)
        self._door = door
        self._taking: asyncio.Task[None] | None = None

    async def startup(self, sockets: Sequence[socket.socket] | None = None) -> None:
        await super().startup(sockets=[])
        self._taking = asyncio.create_task(self._take())

    async def shutdown(self, sockets: Sequence[socket.socket] | None = None) -> None:
        if self._taking:
            self._taking.cancel()
        await super().shutdown(sockets=[])

    async def _take(self) -> None:
        while True:
            await _readable(self._door)
            if pause_s := senders.pause_s(self._clients()):
                await asyncio.sleep(pause_s)
            try:
                for _ in range(AT_ONCE if pause_s >= PAUSE_MAX_S else 1):
                    await self._take_one()
            except (BlockingIOError, ConnectionAbortedError):
                continue  # another process was sooner, or the client has gone
            except Exception:  # whatever it was, the next connection is taken
                log.exception("connection_not_taken")
                await asyncio.sleep(NO_ROOM_S)

    async def _take_one(self) -> None:
        connection, address = self._door.accept()
        connection.setblocking(False)
        senders.came(address[:2])
        try:
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)
        except BaseException:
            connection.close()
            raise

    def _protocol(self) -> asyncio.Protocol:
        return HttpToolsProtocol(self.config, self.server_state, self.lifespan.state)

    def _clients(self) -> set[Client]:
        connections = cast("set[HttpToolsProtocol]", self.server_state.connections)
        return {connection.client for connection in connections if connection.client}


async def _readable(door: socket.socket) -> None:
    """Wait until a connection waits at the door."""
    loop, waits = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(door, waits.set)
    try:
        await waits.wait()
    finally:
        loop.remove_reader(door)


def main() -> None:
    door = socket.socket(fileno=int(sys.argv[1]))
    door.setblocking(False)
    config = uvicorn.Config(
        "agentops.asgi:application",
        http="httptools",
        access_log=False,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=3,
    )
    server = Server(config, door)
    server.run()
    if not server.started:
        sys.exit(STARTUP_FAILURE)


if __name__ == "__main__":
    main()
