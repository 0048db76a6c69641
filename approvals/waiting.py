"""`GET /api/v1/approvals/{id}?wait=30`: answered as soon as somebody decided; who waits costs no thread meanwhile.

The page itself says who may ask and what there is to tell, in a short request before the waiting and one after it. In
between there is a task of the event loop and nothing else: no thread, no connection to Postgres. What Postgres
announces reaches all who wait by the one connection that listens; one query every few seconds finds the rest.
"""

import asyncio
import contextlib
import json
from collections import defaultdict
from collections.abc import Iterator
from urllib.parse import parse_qs
from uuid import UUID

import structlog
from django.db import Error

from agentops.web.asgi_types import Handler, Message, Receive, Scope, Send, as_messages
from agentops.web.problems import problem
from agentops.web.stream import EVERYBODY, listener
from approvals.queries import decided_among

log = structlog.get_logger(__name__)

PREFIX = "/api/v1/approvals/"
MOST_WAITING = 500  # in one process
LOOK_EVERY_S = 3.0


class LongPoll:
    """Stands before the pages: holds back the answer to who wants to wait, and hands everything else on."""

    def __init__(self, pages: Handler) -> None:
        self.pages = pages
        self._waiting: dict[UUID, set[asyncio.Event]] = defaultdict(set)
        self._hearing: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        approval_id, wait_s = asked_for(scope)
        if approval_id is None or not wait_s:
            await self.pages(scope, receive, send)
            return
        await receive()  # the body, which is empty
        for message in await self._answer(approval_id, wait_s, scope, receive):
            await send(message)

    async def _answer(self, approval_id: UUID, wait_s: float, scope: Scope, receive: Receive) -> list[Message]:
        """Return what there is to say when the waiting is over; nothing when nobody is there any more to hear it."""
        end = asyncio.get_running_loop().time() + wait_s
        is_full = sum(map(len, self._waiting.values())) >= MOST_WAITING
        gone = asyncio.ensure_future(receive())
        with self._news_of(approval_id) as news:
            gone.add_done_callback(lambda _: news.set())
            try:
                answer = await self._ask(scope)
                if is_full and is_pending(answer):
                    return too_many()
                while is_pending(answer) and not gone.done() and await _is_set(news, end):
                    news.clear()
                    answer = await self._ask(scope)
                return [] if gone.done() else answer
            finally:
                gone.cancel()

    async def _ask(self, scope: Scope) -> list[Message]:
        said: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            said.append(message)

        await self.pages(scope, receive, send)
        return said

    @contextlib.contextmanager
    def _news_of(self, approval_id: UUID) -> Iterator[asyncio.Event]:
        """Give the event that is set whenever this approval may have changed."""
        news = asyncio.Event()
        self._waiting[approval_id].add(news)
        if self._hearing is None or self._hearing.done():
            self._hearing = asyncio.create_task(self._hear())
        try:
            yield news
        finally:
            self._waiting[approval_id].discard(news)
            if not self._waiting[approval_id]:
                del self._waiting[approval_id]

    async def _hear(self) -> None:
        """Wake who waits for what changed, for as long as anybody waits."""
        now = asyncio.get_running_loop().time
        look_at = now() + LOOK_EVERY_S
        async with listener.subscribe(EVERYBODY, most=0) as notices:
            while self._waiting:
                try:
                    async with asyncio.timeout_at(look_at):
                        notice = await notices.get()
                except TimeoutError:
                    notice = {"event": "hello"}
                if notice["event"] == "approvals":
                    self._wake(UUID(notice["approval"]))
                elif notice["event"] == "hello":  # also: what was announced before is unknown
                    await self._look()
                    look_at = now() + LOOK_EVERY_S

    async def _look(self) -> None:
        try:
            decided = await asyncio.to_thread(decided_among, list(self._waiting))
        except Error as error:
            log.warning("waiting_lost_database", error=str(error).strip())
            return
        for approval_id in decided:
            self._wake(approval_id)

    def _wake(self, approval_id: UUID) -> None:
        for news in self._waiting.get(approval_id, ()):
            news.set()


def asked_for(scope: Scope) -> tuple[UUID | None, float]:
    """Return which approval a request wants to wait for, and how long; what is odd about it is for the page to say."""
    path, _, name = scope["path"].rpartition("/")
    if scope["method"] != "GET" or f"{path}/" != PREFIX or dict(scope["headers"]).get(b"content-length", b"0") != b"0":
        return None, 0
    wait = parse_qs(scope["query_string"].decode("latin-1")).get("wait", [""])[-1]
    try:
        return UUID(name), float(int(wait)) if wait.isascii() and len(wait) <= 2 else 0
    except ValueError:
        return None, 0


def is_pending(answer: list[Message]) -> bool:
    """Whether the page said that there is an approval and that it waits."""
    if not answer or answer[0]["status"] != 200:
        return False
    body = b"".join(message.get("body", b"") for message in answer[1:])
    return bool(json.loads(body)["status"] == "pending")


def too_many() -> list[Message]:
    return as_messages(problem(503, detail="Too many wait here; ask again in a moment.", headers={"Retry-After": "2"}))


async def _is_set(news: asyncio.Event, end: float) -> bool:
    """Wait for news until `end`. When the server stops there are none: who waits is told what is known."""
    try:
        async with asyncio.timeout_at(end):
            return await news.wait()
    except (TimeoutError, asyncio.CancelledError):
        return False
