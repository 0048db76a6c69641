"""Back-pressure before the threads: how many batches are in flight, and that none of the projects takes all places."""

import asyncio
import gzip
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from uuid import UUID

import pytest

from agentops.web.asgi_types import Message, Receive, Scope, Send
from tests.builders import make_project
from tests.traces.api import Api
from tests.traces.otlp import JSON, PROTOBUF
from traces.api import admission
from traces.api.admission import PLACES, PLACES_OF_A_PROJECT, PLACES_OF_NEWCOMERS, Admission, Places
from traces.ingest.body import MAX_BODY

NOISY, LOUD, QUIET, OTHER = map(UUID, (f"{n:032}" for n in range(4)))
NATIVE, OTLP = "/api/v1/traces", ["/v1/traces", "/v1/logs", "/v1/metrics", "/api/public/otel/v1/traces"]
MIB = 1024 * 1024


class Full:
    """Places that batches may be put into, for as long as the test runs."""

    def __init__(self, stack: ExitStack) -> None:
        self.places, self.stack = Places(), stack

    def put(self, project: UUID | None, batches: int, size: int = MIB) -> int:
        """Try to put that many in; return how many were taken."""
        return sum(self.stack.enter_context(self.places.take(project, size)) for _ in range(batches))


@pytest.fixture
def full() -> Iterator[Full]:
    with ExitStack() as stack:
        yield Full(stack)


def test_eight_batches_of_one_project_are_taken_and_no_more(full: Full) -> None:
    assert full.put(NOISY, 30) == PLACES_OF_A_PROJECT == 8


def test_two_noisy_projects_leave_places_for_who_is_quiet(full: Full) -> None:
    assert full.put(NOISY, 30) + full.put(LOUD, 30) == PLACES - PLACES_OF_NEWCOMERS
    assert (full.put(QUIET, 1), full.put(QUIET, 1), full.put(OTHER, 1)) == (1, 0, 1)
    assert full.put(None, 1) == 0, "the process takes no more than it works on"


def test_large_batches_of_one_project_are_one_at_a_time_and_stop_nobody_else(full: Full) -> None:
    assert full.put(NOISY, 3, MAX_BODY) == 1
    assert full.put(QUIET, 1) == 1
    assert full.put(LOUD, 1, MAX_BODY) == 1
    assert full.put(OTHER, 1, MAX_BODY) == 0


def test_a_place_is_free_again_when_its_batch_is_done_or_failed() -> None:
    places = Places()
    for _ in range(3):
        with pytest.raises(RuntimeError), places.take(NOISY, MIB):
            raise RuntimeError
    assert (places.all.places, places.all.size, dict(places.of)) == (0, 0, {})


def test_a_packed_body_counts_as_what_it_says_that_it_unpacks_to() -> None:
    class Request:
        headers = {"Content-Encoding": " GZIP "}

    request: Any = Request()
    assert admission.size_of(request, gzip.compress(b" " * 5_000_000)) == 5_000_000
    assert admission.size_of(request, gzip.compress(b" " * 2 * MAX_BODY)) == MAX_BODY
    assert admission.size_of(request, b"") == 0


class Pages:
    """Pages that answer when the test says so."""

    def __init__(self) -> None:
        self.seen = 0
        self.go_on = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["body"] == b"{}"
        self.seen += 1
        await self.go_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})


async def ask(door: Admission, path: str, *headers: tuple[bytes, bytes], method: str = "POST") -> list[Message]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": list(headers)}
    await door(scope, receive, send)
    return sent


def while_full(*asked: tuple[str, tuple[bytes, bytes]], method: str = "POST") -> tuple[list[list[Message]], int]:
    """Fill all places of who is unknown, ask, and return the answers and how many requests reached the pages."""

    async def scenario() -> tuple[list[list[Message]], int]:
        pages = Pages()
        door = Admission(pages)
        filling = [asyncio.create_task(ask(door, NATIVE)) for _ in range(PLACES_OF_A_PROJECT)]
        await asyncio.sleep(0)
        asking = [asyncio.create_task(ask(door, path, header, method=method)) for path, header in asked]
        await asyncio.sleep(0.05)
        seen = pages.seen
        pages.go_on.set()
        assert [one[0]["status"] for one in await asyncio.gather(*filling)] == [200] * PLACES_OF_A_PROJECT
        return await asyncio.gather(*asking), seen

    return asyncio.run(scenario())


@pytest.mark.parametrize("path", [NATIVE, *OTLP])
def test_who_finds_no_place_is_asked_to_come_back_in_the_words_of_the_door(path: str) -> None:
    kinds = (JSON, PROTOBUF) if path in OTLP else (JSON,)
    answers, seen = while_full(*((path, (b"content-type", kind.encode())) for kind in kinds * 3))
    assert seen == PLACES_OF_A_PROJECT
    waits = set()
    for kind, (start, body) in zip(kinds * 3, answers, strict=True):
        headers = dict(start["headers"])
        assert start["status"] == 503
        assert headers[b"content-type"].decode() == (kind if path in OTLP else "application/problem+json")
        assert b"nothing was stored" in body["body"]
        waits.add(headers[b"retry-after"])
    assert waits == {b"1", b"2", b"3"}


def test_a_sender_that_is_here_for_long_is_told_to_come_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission.senders, "keep", lambda _: False)

    async def scenario() -> list[Message]:
        pages = Pages()
        pages.go_on.set()
        return await ask(Admission(pages), NATIVE)

    (start,) = asyncio.run(scenario())
    assert (start["status"], start["headers"]) == (200, [(b"connection", b"close")])


def test_what_is_no_batch_needs_no_place() -> None:
    nothing = (b"accept", b"*/*")
    _, seen = while_full(*(("/traces", nothing), ("/readyz", nothing), ("/api/v1/approvals", nothing)))
    assert seen == PLACES_OF_A_PROJECT + 3
    _, seen = while_full((NATIVE, nothing), method="GET")
    assert seen == PLACES_OF_A_PROJECT + 1, "reading traces is no batch"


@pytest.mark.django_db
def test_a_project_is_known_by_its_key_once_that_opened_the_door() -> None:
    api = Api(make_project())
    authorization = b"authorization", api.headers["Authorization"].encode()
    assert while_full((NATIVE, authorization))[0][0][0]["status"] == 503
    assert api.get("traces").status_code == 200
    assert while_full((NATIVE, authorization))[0][0][0]["status"] == 200
    two_keys = while_full((NATIVE, (b"x-api-key", authorization[1])), (NATIVE, (b"authorization", b"Bearer x")))
    assert [answer[0]["status"] for answer in two_keys[0]] == [503, 503]
