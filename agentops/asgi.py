"""The web server's one door: streams go to Django's ASGI handler, everything else to threads that run it as WSGI.

Synchronous pages are several times faster under WSGI, and its threads keep their database connections; a stream there
would hold a thread for hours. Who waits for a decision waits before the threads (approvals/waiting.py), and batches
that find no place are refused there (traces/api/admission.py). A body is read whole before a thread sees it, so slow
clients cost none either.
"""

import asyncio
import gc
import json
import os
import re
import sys
import time
from typing import Any

from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.utils.module_loading import import_string

from agentops.env import SettingsError, read_env, require_secrets
from agentops.web.asgi_types import Handler, Message, Receive, Scope, Send
from agentops.web.threads import Threads

# What answers for longer than a request should: the whole path must match one of these.
STREAMS = re.compile(r"/stream|/stream/.*")
THREADS = 16
SWITCH_S = 0.0005  # a thread that computes gives way this soon, to the loop above all
NO_KEY = "Unauthorized", "Send an API key with a body of this size: Authorization: Bearer <key>."
NOT_READY = "Service Unavailable", "The database did not answer in time."
READY_MAX_S = 2.0
JSON, PROBLEM = b"application/json", b"application/problem+json"
# One byte more than any room takes: the room sees that it is too much, and says so in its own format.
BODY_MAX_BYTES = 32 * 1024 * 1024 + 1
ALL_BODIES_MAX_BYTES = 4 * BODY_MAX_BYTES
BODY_PAUSE_MAX_S = 30.0
BODY_MAX_S = 60.0
# Strangers can sign in and no more: what is larger needs something that looks like a key or a session.
STRANGERS_BODY_MAX_BYTES = 64 * 1024
HEADERS_MAX, HEADERS_MAX_BYTES = 100, 32 * 1024
MANY_HEADERS = f"A request may have {HEADERS_MAX} headers, of {HEADERS_MAX_BYTES // 1024} KiB in all."
# A client that takes its answer more slowly than this for longer than the pause loses the rest of it.
SEND_MIN_BYTES_S = 16 * 1024
SEND_PAUSE_MAX_S = 30.0


class RefusedError(Exception):
    """The request is not handed on; None means that nobody waits for an answer."""

    def __init__(self, status: int | None, title: str = "", detail: str = "") -> None:
        super().__init__(detail)
        self.status = status
        self.problem = {"type": "about:blank", "title": title, "status": status, "detail": detail}


class Door:
    """Hands each request to the handler that fits it."""

    def __init__(self, *, pages: Handler, streams: Handler) -> None:
        self.pages = pages
        self.streams = streams
        self.held_bytes = 0
        self.probe: asyncio.Task[list[Message]] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "http":
            scope = unambiguous(scope)
            # A process whose threads are all taken lives; to be told so must not need one.
            if scope["path"] == "/livez" and scope["method"] in {"GET", "HEAD"}:
                await _answer(200, JSON, {"status": "alive"}, Patient(send))
            elif STREAMS.fullmatch(scope["path"]):
                await self.streams(scope, receive, send)
            elif scope["path"] == "/readyz":
                await self._ready(from_here(scope), receive, send)
            else:
                await self._page(scope, receive, send)

    async def _ready(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer in time also while a database that hangs holds every thread: all who ask wait for one answer."""
        if self.probe is None or self.probe.done():
            self.probe = asyncio.create_task(self._asked(scope, receive))
        done, _ = await asyncio.wait({self.probe}, timeout=READY_MAX_S)
        if not done:
            await _refuse(RefusedError(503, *NOT_READY), Patient(send))
            return
        for message in self.probe.result():
            await send(message)

    async def _asked(self, scope: Scope, receive: Receive) -> list[Message]:
        said: list[Message] = []

        async def keep(message: Message) -> None:
            said.append(message)

        await self._page(scope, receive, keep)
        return said

    async def _page(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = bytearray()
        try:
            check_headers(scope)
            limit = body_limit(scope)
            if limit < min(announced_length(scope), BODY_MAX_BYTES):
                raise RefusedError(401, *NO_KEY)
            await self._read(body, receive, limit)
            await self.pages(with_length(scope, len(body)), replay(body, receive), Patient(send))
        except RefusedError as refused:
            await _refuse(refused, Patient(send))
        finally:
            self.held_bytes -= len(body)

    async def _read(self, body: bytearray, receive: Receive, max_bytes: int) -> None:
        end = time.monotonic() + BODY_MAX_S
        more = True
        while more and len(body) < BODY_MAX_BYTES:
            message = await _next_part(receive, end)
            part = message.get("body", b"")[: BODY_MAX_BYTES - len(body)]
            if len(body) + len(part) > max_bytes:
                raise RefusedError(401, *NO_KEY)
            if self.held_bytes + len(part) > ALL_BODIES_MAX_BYTES:
                raise RefusedError(503, "Busy", "Too many large bodies are on their way; try again in a moment.")
            body += part
            self.held_bytes += len(part)
            more = message.get("more_body", False)


async def _next_part(receive: Receive, end: float) -> Message:
    """Wait for more of a body, not beyond `end`. Raises RefusedError."""
    pause_s = min(BODY_PAUSE_MAX_S, end - time.monotonic())
    try:
        async with asyncio.timeout(pause_s):
            message = await receive()
    except TimeoutError:
        slow = f"A body may pause for {BODY_PAUSE_MAX_S:.0f} s and take {BODY_MAX_S:.0f} s in all."
        raise RefusedError(408, "Too slow", slow) from None
    if message["type"] == "http.disconnect":
        raise RefusedError(None)
    return message


def body_limit(scope: Scope) -> int:
    """Return how much of a body is read. Whether a key or session is good is for the room to say."""
    for name, value in scope["headers"]:
        if name in {b"authorization", b"x-api-key"} or (name == b"cookie" and b"sessionid=" in value):
            return BODY_MAX_BYTES
    return STRANGERS_BODY_MAX_BYTES


def check_headers(scope: Scope) -> None:
    """Raise RefusedError for more headers than anybody sends in good faith."""
    size = sum(len(name) + len(value) for name, value in scope["headers"])
    if len(scope["headers"]) > HEADERS_MAX or size > HEADERS_MAX_BYTES:
        raise RefusedError(431, "Request Header Fields Too Large", MANY_HEADERS)


def announced_length(scope: Scope) -> int:
    """Return the length that the request says its body has, 0 when it says none."""
    length = dict(scope["headers"]).get(b"content-length", b"")
    return int(length) if length.isdigit() else 0


class Patient:
    """Send to a client for as long as it takes what it is given, and afterwards to nobody.

    Never raises: the thread that answers would wait for ever for a message that nobody takes any more.
    """

    def __init__(self, send: Send) -> None:
        self.send = send
        self.left_s = SEND_PAUSE_MAX_S

    async def __call__(self, message: Message) -> None:
        if self.left_s <= 0:
            return
        begin = time.monotonic()
        try:
            async with asyncio.timeout(self.left_s):
                await self.send(message)
        except Exception:
            self.left_s = 0
            return
        earned_s = len(message.get("body", b"")) / SEND_MIN_BYTES_S
        self.left_s = min(SEND_PAUSE_MAX_S, self.left_s - (time.monotonic() - begin) + earned_s)


def unambiguous(scope: Scope) -> Scope:
    """Take out what a WSGI environment cannot tell apart.

    `X_Forwarded_Proto` and `X-Forwarded-Proto` would be one name there, and a proxy guards only the second.
    """
    headers = [(name, value) for name, value in scope["headers"] if b"_" not in name]
    return {**scope, "headers": headers}


def from_here(scope: Scope) -> Scope:
    """Let a probe ask by whatever name or address it knows us: its answer is the same for all."""
    headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
    return {**scope, "headers": [*headers, (b"host", b"localhost")]}


def with_length(scope: Scope, length: int) -> Scope:
    """Name the body's length, which a chunked request does not."""
    headers = [
        (name, value) for name, value in scope["headers"] if name not in {b"content-length", b"transfer-encoding"}
    ]
    return {**scope, "headers": [*headers, (b"content-length", str(length).encode("ascii"))]}


def replay(body: bytearray, receive: Receive) -> Receive:
    """Give the body in one piece, then whatever comes."""
    waiting = [bytes(body)]

    async def next_message() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return next_message


async def _refuse(refused: RefusedError, send: Send) -> None:
    if refused.status is None:
        return
    await _answer(refused.status, PROBLEM, refused.problem, send, (b"retry-after", b"1"), (b"connection", b"close"))


async def _answer(status: int, kind: bytes, said: dict[str, Any], send: Send, *headers: tuple[bytes, bytes]) -> None:
    body = json.dumps(said).encode()
    length = str(len(body)).encode("ascii")
    about = [(b"content-type", kind), (b"content-length", length), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": [*about, *headers]})
    await send({"type": "http.response.body", "body": body})


def _leave_what_stays() -> None:
    """Do not look for garbage among what is there for good, and seldom among what is new.

    A batch makes a hundred thousand objects that live until it is stored: this saves a tenth of the CPU of ingest.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def _change_threads_seldom() -> None:
    """Let a thread that computes go on for 15 ms instead of 5 before another takes its turn.

    Two batches in turns push each other out of the processor's cache: this saves a twelfth of the CPU of ingest. Who
    waits for the turn waits longer, where the process is busy and only there.
    """
    sys.setswitchinterval(0.015)


async def _live(receive: Receive, send: Send) -> None:
    while True:
        phase = (await receive())["type"]
        if phase == "lifespan.startup":
            _leave_what_stays()
            _change_threads_seldom()
        await send({"type": f"{phase}.complete"})
        if phase == "lifespan.shutdown":
            return


sys.setswitchinterval(SWITCH_S)
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentops.settings")
try:
    require_secrets(read_env())
except SettingsError as error:
    sys.exit(f"agentops: {error}")
_wsgi: Any = get_wsgi_application()
_pages = Threads(_wsgi, count=THREADS)
_streams: Any = get_asgi_application()
# Now that the apps are there.
_admission: Any = import_string("traces.api.admission.Admission")
_long_poll: Any = import_string("approvals.waiting.LongPoll")
application = Door(pages=_long_poll(_admission(_pages)), streams=_streams)
