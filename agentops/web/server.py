"""The web server of `up`: uvicorn, with connections shared fairly among the processes that listen at one door.

Uvicorn alone takes all connections that wait the moment it wakes: of four exporters three or four may come to one of
two processes, and stay there for hours.
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

from agentops.web.senders import Client, senders

AT_ONCE = 64  # connections taken before anything else goes on
NO_ROOM_S = 1.0  # until we look again, where this process may open no more files
UNACKED = 24  # where TCP_INFO of a socket that listens has how many wait to be taken

log = structlog.get_logger(__name__)


class Server(uvicorn.Server):
    """One that takes connections itself, sooner or later by how many senders it has."""

    def __init__(self, config: uvicorn.Config, door: socket.socket) -> None:
        super().__init__(config)
        self._door = door
        self._taking: asyncio.Task[None] | None = None

    async def startup(self, sockets: Sequence[socket.socket] | None = None) -> None:
        await super().startup(sockets=[])
        self._taking = asyncio.create_task(self._take_for_ever())

    async def shutdown(self, sockets: Sequence[socket.socket] | None = None) -> None:
        if self._taking:
            self._taking.cancel()
            await asyncio.wait({self._taking})
        await super().shutdown(sockets=[])

    async def _take_for_ever(self) -> None:
        while True:
            try:
                await self._take_some()
            except (BlockingIOError, ConnectionAbortedError):
                continue  # another process was sooner, or the client has gone
            except Exception:  # whatever it was, the next connection is taken
                log.exception("connection_not_taken")
                await asyncio.sleep(NO_ROOM_S)

    async def _take_some(self) -> None:
        """Take half of those who wait: the other half is for other processes, or for the next look."""
        await _readable(self._door)
        if pause_s := senders.pause_s(self._clients()):
            await asyncio.sleep(pause_s)
        for _ in range(min(max((_waiting(self._door) + 1) // 2, 1), AT_ONCE)):
            await self._take_one()

    async def _take_one(self) -> None:
        connection, address = self._door.accept()
        connection.setblocking(False)
        senders.came(address[:2])
        loop = asyncio.get_running_loop()
        taken = asyncio.ensure_future(loop.connect_accepted_socket(self._protocol, connection))
        try:
            await asyncio.shield(taken)
        except asyncio.CancelledError:
            await taken  # half taken, it would be read and never answered
            raise
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


def _waiting(door: socket.socket) -> int:
    """Return how many connections wait at the door; 0 where the system does not say."""
    if not hasattr(socket, "TCP_INFO"):
        return 0
    about = door.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, UNACKED + 4)
    return int.from_bytes(about[UNACKED:], sys.byteorder)


def serve(door_fd: int, *, is_shared: bool) -> int:
    """Serve at a socket that listens already, until a signal comes. Returns the exit code.

    Args:
        door_fd: the socket.
        is_shared: whether other processes serve there too.
    """
    door = socket.socket(fileno=door_fd)
    door.setblocking(False)
    senders.are_shared = is_shared
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
    return 0 if server.started else STARTUP_FAILURE
