"""Which batches a web process takes in: bounded, and fair between projects. Decided before a thread sees them.

A batch that finds no place is answered at once, 503 with Retry-After, and costs neither a thread nor a query. So those
who wait for a thread are few, and pages and probes are answered however many send.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from itertools import cycle
from uuid import UUID

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse

from agentops.accounts.authenticate import KeyRefusedError, project_seen, shown_token
from agentops.web.asgi_types import Handler, Message, Receive, Scope, Send, as_messages, closing
from agentops.web.problems import problem
from agentops.web.senders import senders
from traces.api.otlp_answer import refuse
from traces.ingest.body import MAX_BODY, announced_size

PLACES = 12  # batches a process works on at once; four of its sixteen threads are left for pages
PLACES_OF_A_PROJECT = 8
PLACES_OF_NEWCOMERS = 2  # of all, kept for projects of which nothing is in flight
BYTES = 3 * MAX_BODY  # unpacked, of all batches in flight
BYTES_OF_A_PROJECT = MAX_BODY
BUSY = "As many batches are in flight as are taken at once; nothing was stored; send this one again."

Refuse = Callable[[HttpRequest, str], HttpResponse]


@dataclass
class Held:
    """What is in flight."""

    places: int = 0
    size: int = 0

    def add(self, places: int, size: int) -> None:
        self.places += places
        self.size += size


class Places:
    """Who has batches in flight, and whether there is room for one more. For one event loop, so without a lock."""

    def __init__(self) -> None:
        self.all = Held()
        self.of: dict[UUID | None, Held] = defaultdict(Held)

    @contextmanager
    def take(self, project: UUID | None, size: int) -> Iterator[bool]:
        """Hold a place for a batch of `size` bytes while the block runs; give False where there is none."""
        if not self.has_room(project, size):
            yield False
            return
        held = self.of[project]
        for one in (self.all, held):
            one.add(1, size)
        try:
            yield True
        finally:
            for one in (self.all, held):
                one.add(-1, -size)
            if not held.places:
                self.of.pop(project, None)

    def has_room(self, project: UUID | None, size: int) -> bool:
        if self.all.places >= PLACES or self.all.size + size > BYTES:
            return False
        held = self.of.get(project)
        if held is None:
            return True
        return (
            self.all.places < PLACES - PLACES_OF_NEWCOMERS
            and held.places < PLACES_OF_A_PROJECT
            and held.size + size <= BYTES_OF_A_PROJECT
        )


class Admission:
    """Stands before the pages, and hands them what is no batch, and the batches that have a place."""

    def __init__(self, pages: Handler) -> None:
        self.pages = pages
        self.places = Places()
        self.retry_after_s = cycle("123")  # so that who was refused together does not come back together

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refuse_here = DOORS.get(scope["path"])
        if refuse_here is None or scope["method"] != "POST":
            await self.pages(scope, receive, send)
            return
        whole = await receive()  # the server's door has read it
        request = ASGIRequest(scope, BytesIO())
        with self.places.take(project_of(request), size_of(request, whole.get("body", b""))) as is_taken:
            if is_taken:
                is_kept = senders.keep(scope.get("client"))
                await self.pages(scope, _again(whole, receive), send if is_kept else closing(send))
                return
        refused = refuse_here(request, BUSY)
        refused["Retry-After"] = next(self.retry_after_s)
        for message in as_messages(refused):
            await send(message)


def project_of(request: HttpRequest) -> UUID | None:
    """Return whose batch it is, as far as that is known without a query. All who are not known share their places."""
    try:
        token = shown_token(request)
    except KeyRefusedError:
        return None
    return project_seen(token) if token else None


def size_of(request: HttpRequest, body: bytes) -> int:
    """Return how many bytes the body takes up at most, unpacked."""
    is_packed = request.headers.get("Content-Encoding", "").strip().lower() == "gzip"
    return min(max(len(body), announced_size(body) if is_packed else 0), MAX_BODY)


def _again(whole: Message, receive: Receive) -> Receive:
    waiting = [whole]

    async def next_message() -> Message:
        return waiting.pop() if waiting else await receive()

    return next_message


def _refuse_native(request: HttpRequest, detail: str) -> HttpResponse:
    return problem(503, detail=detail)


def _refuse_otlp(request: HttpRequest, detail: str) -> HttpResponse:
    return refuse(request, 503, detail)


DOORS: dict[str, Refuse] = {
    "/api/v1/traces": _refuse_native,
    "/v1/traces": _refuse_otlp,
    "/v1/logs": _refuse_otlp,
    "/v1/metrics": _refuse_otlp,
    "/api/public/otel/v1/traces": _refuse_otlp,
}
