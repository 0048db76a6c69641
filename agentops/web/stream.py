"""What Postgres announces, fanned out to the browsers that listen: one LISTEN connection a process, however many."""

import asyncio
import contextlib
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import structlog
from asgiref.sync import sync_to_async
from django.db import connection, connections

from agentops.web.news import CHANNEL

log = structlog.get_logger(__name__)

QUEUE = 100  # notices kept for a browser that reads slowly; the oldest go first, it reads its lists again anyway
RETRY_S = 1.0
KEEP_ALIVE_S = 15.0
MAX_OPEN = 200  # browsers that one process serves at a time
LIFE_S = 300.0  # then the browser comes again, and whether it may is asked again

EVERYBODY = ""  # the subscription to all projects, of who hands nothing on to a browser

Notice = dict[str, Any]


class Listener:
    """The one connection that listens, and the queues of those who want a project's notices."""

    def __init__(self) -> None:
        self._queues: dict[str, set[asyncio.Queue[Notice]]] = defaultdict(set)
        self._task: asyncio.Task[None] | None = None

    @property
    def is_full(self) -> bool:
        return sum(map(len, self._queues.values())) >= MAX_OPEN

    @contextlib.asynccontextmanager
    async def subscribe(self, project: str, *, most: int = QUEUE) -> AsyncIterator[asyncio.Queue[Notice]]:
        """Give the queue of a project's notices while the block runs; `project` is the hex of its id, or EVERYBODY."""
        queue: asyncio.Queue[Notice] = asyncio.Queue(most)
        self._queues[project].add(queue)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._listen())
        try:
            yield queue
        finally:
            self._queues[project].discard(queue)
            if not self._queues[project]:
                del self._queues[project]

    async def _listen(self) -> None:
        """Listen for as long as anybody wants to hear; a database that is away is asked again each second."""
        while self._queues:
            try:
                await self._listen_once()
            except psycopg.Error as error:
                log.warning("stream_lost_database", error=str(error).strip())
                await asyncio.sleep(RETRY_S)

    async def _listen_once(self) -> None:
        settings = connection.settings_dict
        options = {key: value for key, value in settings["OPTIONS"].items() if key in {"sslmode", "connect_timeout"}}
        async with await psycopg.AsyncConnection.connect(
            dbname=settings["NAME"],
            user=settings["USER"] or None,
            password=settings["PASSWORD"] or None,
            host=settings["HOST"] or None,
            port=settings["PORT"] or None,
            autocommit=True,
            **options,
        ) as listening:
            await listening.execute(f"LISTEN {CHANNEL}")
            # What was announced while nobody listened is unknown: whoever listens reads its lists again.
            for queues in self._queues.values():
                for queue in queues:
                    _put(queue, {"event": "hello"})
            while self._queues:
                async for notify in listening.notifies(timeout=KEEP_ALIVE_S):
                    self._hand_on(notify.payload)

    def _hand_on(self, payload: str) -> None:
        try:
            notice = json.loads(payload)
        except ValueError:
            return
        project = notice.pop("project", EVERYBODY)
        for queue in {*self._queues.get(project, ()), *self._queues.get(EVERYBODY, ())}:
            _put(queue, dict(notice))


def _put(queue: asyncio.Queue[Notice], notice: Notice) -> None:
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(notice)


def _close_connections() -> None:
    """Close what the request needed to be let in: its thread, which no other request uses, lives as long as it."""
    for one in connections.all(initialized_only=True):
        if not one.in_atomic_block:
            one.close()


listener = Listener()


async def events(project: str) -> AsyncIterator[bytes]:
    """Yield a project's notices as server-sent events, with a comment every 15 s, for five minutes."""
    loop = asyncio.get_running_loop()
    end = loop.time() + LIFE_S
    async with listener.subscribe(project) as queue:
        await sync_to_async(_close_connections)()
        while loop.time() < end:
            try:
                notice = await asyncio.wait_for(queue.get(), KEEP_ALIVE_S)
            except TimeoutError:
                yield b": still here\n\n"
            else:
                yield f"event: {notice.pop('event')}\ndata: {json.dumps(notice)}\n\n".encode()
