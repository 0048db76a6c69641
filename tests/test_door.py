"""The one door of the web server: who answers, and what becomes of a body before anyone does."""

import asyncio
import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agentops import asgi
from agentops.asgi import BODY_MAX_BYTES, Door, Message, Receive, Scope, Send
from agentops.web.threads import Threads

Wanted = Callable[..., tuple[list[Message], list[Any]]]


@pytest.fixture(autouse=True)
def garbage() -> Iterator[None]:
    """Look for garbage as before: a server that starts looks seldom, and other tests count on its end."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.fixture
def ask() -> Wanted:
    """Ask a door whose pages answer with the headers and the body they were given."""

    def ask(
        *parts: Message, path: str = "/", headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> tuple[list[Message], list[Any]]:
        sent: list[Message] = []
        seen: list[Any] = []
        waiting = list(parts)

        async def receive() -> Message:
            if not waiting:
                await asyncio.sleep(60)
            return waiting.pop(0)

        async def send(message: Message) -> None:
            sent.append(message)

        def handler(name: str) -> asgi.Handler:
            async def handle(scope: Scope, receive: Receive, _send: Send) -> None:
                body = (await receive())["body"] if name == "pages" else b""
                seen.extend([name, dict(scope["headers"]), body])

            return handle

        door = Door(pages=handler("pages"), streams=handler("streams"))
        scope = {"type": "http", "path": path, "method": "GET", "headers": list(headers)}
        asyncio.run(door(scope, receive, send))
        assert door.held_bytes == 0
        return sent, seen

    return ask


def part(body: bytes, *, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


@pytest.mark.parametrize(
    ("path", "who"),
    [
        ("/stream", "streams"),
        ("/stream/alerts", "streams"),
        ("/", "pages"),
        ("/streams", "pages"),
        ("/a/stream", "pages"),
    ],
)
def test_only_streams_go_to_the_asynchronous_side(ask: Wanted, path: str, who: str) -> None:
    _, seen = ask(part(b""), path=path)
    assert seen[0] == who


def test_who_asks_whether_the_process_lives_needs_no_thread_and_no_name_for_it(ask: Wanted) -> None:
    sent, seen = ask(part(b""), path="/livez", headers=((b"host", b"10.0.0.1"),))
    assert not seen
    assert (sent[0]["status"], sent[1]["body"]) == (200, b'{"status": "alive"}')


def test_who_asks_whether_we_are_ready_needs_no_name_for_us(ask: Wanted) -> None:
    _, seen = ask(part(b""), path="/readyz", headers=((b"host", b"10.0.0.1"),))
    assert seen[1][b"host"] == b"localhost"


def test_a_body_in_pieces_arrives_whole_with_its_length(ask: Wanted) -> None:
    headers = ((b"transfer-encoding", b"chunked"), (b"accept", b"*/*"))
    _, seen = ask(part(b"one", more=True), part(b"two", more=True), part(b""), headers=headers)
    assert seen == ["pages", {b"accept": b"*/*", b"content-length": b"6"}, b"onetwo"]


def test_half_a_body_whose_sender_went_away_is_nobodys_work(ask: Wanted) -> None:
    sent, seen = ask(part(b'{"half":', more=True), {"type": "http.disconnect"})
    assert (sent, seen) == ([], [])


def test_a_body_beyond_the_limit_is_cut_one_byte_above_it_for_the_room_to_refuse(ask: Wanted) -> None:
    megabytes = [part(b"x" * 1024 * 1024, more=True) for _ in range(40)]
    _, seen = ask(*megabytes, headers=((b"x-api-key", b"k"),))
    assert len(seen[2]) == BODY_MAX_BYTES


def test_too_many_large_bodies_at_once_are_asked_to_come_again(ask: Wanted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asgi, "ALL_BODIES_MAX_BYTES", 10)
    sent, seen = ask(part(b"x" * 11))
    assert not seen
    assert sent[0]["status"] == 503
    assert (b"retry-after", b"1") in sent[0]["headers"]
    assert b'"status": 503' in sent[1]["body"]


def test_a_body_that_stops_coming_is_given_up(ask: Wanted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asgi, "BODY_PAUSE_MAX_S", 0.01)
    sent, seen = ask(part(b"x", more=True))
    assert not seen
    assert sent[0]["status"] == 408


def test_a_body_that_trickles_for_ever_is_given_up(ask: Wanted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asgi, "BODY_MAX_S", -1.0)
    sent, seen = ask(*[part(b"x", more=True)] * 50)
    assert not seen
    assert sent[0]["status"] == 408


@pytest.mark.parametrize(
    ("parts", "headers"),
    [
        ([part(b"x" * 70_000)], ()),
        ([part(b"x" * 40_000, more=True)] * 2, ()),
        ([], ((b"content-length", b"70000"),)),
        ([part(b"x" * 70_000)], ((b"cookie", b"theme=dark"),)),
    ],
)
def test_a_large_body_of_who_shows_no_key_is_refused_at_once(ask: Wanted, parts: list[Message], headers: Any) -> None:
    sent, seen = ask(*parts, headers=headers)
    assert not seen
    assert sent[0]["status"] == 401
    assert (b"connection", b"close") in sent[0]["headers"]


@pytest.mark.parametrize(
    "shown",
    [(b"authorization", b"Bearer k"), (b"x-api-key", b"k"), (b"cookie", b"a=b; __Host-sessionid=s")],
)
def test_a_large_body_of_who_shows_a_key_or_a_session_is_read(ask: Wanted, shown: tuple[bytes, bytes]) -> None:
    _, seen = ask(part(b"x" * 70_000), headers=(shown, (b"content-length", b"70000")))
    assert len(seen[2]) == 70_000


def test_a_header_with_an_underscore_cannot_pass_for_one_with_a_dash(ask: Wanted) -> None:
    headers = ((b"x_forwarded_proto", b"https"), (b"x-forwarded-proto", b"http"))
    _, seen = ask(part(b""), headers=headers)
    assert seen[1] == {b"x-forwarded-proto": b"http", b"content-length": b"0"}


def test_the_server_is_told_that_it_may_start_and_stop() -> None:
    phases = iter(["lifespan.startup", "lifespan.shutdown"])
    sent: list[str] = []

    async def receive() -> Message:
        return {"type": next(phases)}

    async def send(message: Message) -> None:
        sent.append(message["type"])

    asyncio.run(asgi.application({"type": "lifespan"}, receive, send))
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_a_probe_is_answered_while_every_thread_hangs_and_all_who_ask_share_one(monkeypatch):
    monkeypatch.setattr(asgi, "READY_MAX_S", 0.05)
    asked: list[str] = []
    goes_on = asyncio.Event()

    async def pages(scope: Scope, receive: Receive, send: Send) -> None:
        asked.append(scope["path"])
        await goes_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    async def probe(door: Door) -> int:
        sent: list[Message] = []

        async def receive() -> Message:
            return part(b"")

        async def send(message: Message) -> None:
            sent.append(message)

        await door({"type": "http", "path": "/readyz", "method": "GET", "headers": []}, receive, send)
        assert len(sent) == 2
        return int(sent[0]["status"])

    async def scenario() -> None:
        door = Door(pages=pages, streams=pages)
        assert await asyncio.gather(*(probe(door) for _ in range(5))) == [503] * 5
        assert asked == ["/readyz"]
        goes_on.set()
        assert await probe(door) == 200
        assert await probe(door) == 200
        assert len(asked) == 2, "the answer is of now"

    asyncio.run(scenario())


async def raises(message: Message) -> None:
    raise RuntimeError("the connection is closed")


async def hangs(message: Message) -> None:
    await asyncio.sleep(60)


@pytest.mark.parametrize("send", [raises, hangs])
def test_who_takes_no_answer_holds_no_thread(send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asgi, "SEND_PAUSE_MAX_S", 0.05)
    ended: list[bool] = []

    def pages(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        yield from [b"x" * 8192] * 100
        ended.append(True)

    async def receive() -> Message:
        return part(b"")

    wsgi = Threads(pages, count=1)
    scope = {"type": "http", "path": "/", "headers": [], "method": "GET", "query_string": b"", "http_version": "1.1"}
    asyncio.run(asyncio.wait_for(Door(pages=wsgi, streams=wsgi)(scope, receive, send), 5))
    assert ended == [True]


def test_a_slow_client_that_keeps_taking_its_answer_gets_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asgi, "SEND_PAUSE_MAX_S", 0.2)
    monkeypatch.setattr(asgi, "SEND_MIN_BYTES_S", 100)
    taken: list[Message] = []

    async def take(message: Message) -> None:
        await asyncio.sleep(0.05)
        taken.append(message)

    async def answer() -> None:
        patient = asgi.Patient(take)
        for _ in range(8):
            await patient({"type": "http.response.body", "body": b"0123456789"})

    asyncio.run(answer())
    assert len(taken) == 8
