"""The long-poll behind the server's door: who waits holds no thread and no connection, and is answered in time."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection

from agentops.web import stream
from agentops.web.asgi_types import Message, Receive, Scope, Send
from approvals import services, waiting
from approvals.models import Approval
from approvals.waiting import LongPoll
from tests.approvals.builders import decide, make_approver, propose
from tests.builders import make_project
from tests.instance import wait_until
from tests.web.test_stream import SESSIONS_SQL

PENDING, APPROVED = {"status": "pending"}, {"status": "approved"}
CLAIM = "/api/v1/approvals/01a20eed-22be-7737-8dc4-8218ba6b8965/claim"


class Pages:
    """Pages that answer about approvals as the test says."""

    def __init__(self, answer: Any = PENDING, status: int = 200) -> None:
        self.answer, self.status = answer, status
        self.asked = 0
        self.seen: Callable[[], None] = lambda: None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["body"] == b""
        self.asked += 1
        said = json.dumps(self.answer).encode()
        self.seen()
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": said[:5], "more_body": True})
        await send({"type": "http.response.body", "body": said[5:]})


class Waiter:
    """One client that asks with `?wait=` and stays until it is answered, or leaves."""

    def __init__(self, poll: LongPoll, approval_id: UUID | str, query: str = "wait=20", **scope: Any) -> None:
        self.poll = poll
        self.leave = asyncio.Event()
        self.sent: list[Message] = []
        self.parts: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]
        headers = [(b"content-length", b"0")]
        path = f"/api/v1/approvals/{approval_id}"
        self.scope = {"type": "http", "method": "GET", "path": path, "query_string": query.encode(), "headers": headers}
        self.scope |= scope

    async def receive(self) -> Message:
        if self.parts:
            return self.parts.pop()
        await self.leave.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def stay(self) -> Any:
        """Return the status and the body, or None where nobody was answered."""
        await self.poll(self.scope, self.receive, self.send)
        if not self.sent:
            return None
        return self.sent[0]["status"], json.loads(b"".join(message["body"] for message in self.sent[1:]))


def run(scenario: Callable[[], Awaitable[Any]]) -> Any:
    """Run a scenario in a loop of its own, in a thread of its own: Django tells the two worlds apart by it."""

    async def within_a_minute() -> Any:
        async with asyncio.timeout(60):
            return await scenario()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(within_a_minute())).result()


@pytest.fixture
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is announced, and nobody looks."""
    monkeypatch.setattr(stream.Listener, "_listen_once", lambda self: asyncio.sleep(3_600))
    monkeypatch.setattr(waiting, "decided_among", lambda ids: [])


@pytest.mark.parametrize(
    ("query", "more"),
    [("", {}), ("wait=0", {}), ("wait=x", {}), ("wait=999", {}), ("wait=-1", {}), ("wait=5", {"method": "POST"}),
     ("wait=5", {"headers": [(b"content-length", b"3")]}), ("wait=5", {"path": "/api/v1/traces/x"}),
     ("wait=5", {"path": "/api/v1/approvals/x"}), ("wait=5", {"path": CLAIM})],
    ids=str,
)  # fmt: skip
def test_everything_but_a_wait_is_for_the_pages_alone(query: str, more: dict[str, Any]) -> None:
    pages = Pages()
    assert run(lambda: Waiter(LongPoll(pages), uuid4(), query, **more).stay()) == (200, PENDING)
    assert pages.asked == 1


@pytest.mark.usefixtures("_quiet")
@pytest.mark.parametrize(("answer", "status"), [(APPROVED, 200), ({"status": 404}, 404), ({"status": 401}, 401)])
def test_what_waits_no_longer_or_may_not_be_seen_is_answered_at_once(answer: Any, status: int) -> None:
    pages = Pages(answer, status)
    assert run(lambda: Waiter(LongPoll(pages), uuid4()).stay()) == (status, answer)
    assert pages.asked == 1


@pytest.mark.usefixtures("_quiet")
def test_when_the_time_is_over_it_is_said_that_it_waits_still() -> None:
    assert run(lambda: Waiter(LongPoll(Pages()), uuid4(), "wait=1").stay()) == (200, PENDING)


@pytest.mark.usefixtures("_quiet")
def test_news_between_the_question_and_the_waiting_are_not_lost() -> None:
    approval_id = uuid4()

    async def scenario() -> Any:
        pages = Pages()
        poll = LongPoll(pages)

        def decide_meanwhile() -> None:
            pages.answer, pages.seen = APPROVED, lambda: None
            poll._wake(approval_id)

        pages.seen = decide_meanwhile
        return await Waiter(poll, approval_id).stay()

    assert run(scenario) == (200, APPROVED)


@pytest.mark.usefixtures("_quiet")
def test_who_leaves_is_forgotten() -> None:
    async def scenario() -> Any:
        poll = LongPoll(Pages())
        waiter = Waiter(poll, uuid4())
        task = asyncio.create_task(waiter.stay())
        while not poll._waiting:
            await asyncio.sleep(0)
        waiter.leave.set()
        return await task, dict(poll._waiting)

    assert run(scenario) == (None, {})


@pytest.mark.usefixtures("_quiet")
def test_a_server_that_stops_says_what_it_knows() -> None:
    async def scenario() -> Any:
        pages = Pages()
        task = asyncio.create_task(Waiter(LongPoll(pages), uuid4()).stay())
        while not pages.asked:
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        task.cancel()
        return await task

    assert run(scenario) == (200, PENDING)


@pytest.mark.usefixtures("_quiet")
def test_more_than_one_process_holds_are_asked_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "MOST_WAITING", 0)
    waiter: list[Waiter] = []

    async def scenario() -> Any:
        waiter.append(Waiter(LongPoll(Pages()), uuid4()))
        return await waiter[0].stay()

    status, body = run(scenario)
    assert (status, body["status"]) == (503, 503)
    assert (b"retry-after", b"2") in waiter[0].sent[0]["headers"]
    assert run(lambda: Waiter(LongPoll(Pages(APPROVED)), uuid4()).stay()) == (200, APPROVED)


async def from_the_database(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer as the real page does, from the row."""

    def status() -> str:
        try:
            return Approval.objects.get(pk=scope["path"].rpartition("/")[2]).status
        finally:
            connection.close()

    body = json.dumps({"status": await asyncio.to_thread(status)}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def decided_in_a_thread(approval: Approval, how: Callable[[Approval], object]) -> None:
    def decide_it() -> None:
        try:
            how(approval)
        finally:
            connection.close()

    thread = threading.Thread(target=decide_it)
    thread.start()
    thread.join()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_heard", [True, False], ids=["announced", "found by looking"])
def test_a_decision_wakes_who_waits_for_it_and_nobody_else(monkeypatch: pytest.MonkeyPatch, is_heard: bool) -> None:
    if is_heard:
        monkeypatch.setattr(waiting, "LOOK_EVERY_S", 3_600.0)
    else:
        monkeypatch.setattr(waiting, "LOOK_EVERY_S", 0.1)
        monkeypatch.setattr(stream.Listener, "_hand_on", lambda self, payload: None)
    project = make_project()
    member = make_approver(project)
    mine, other = propose(project), propose(project)

    async def scenario() -> Any:
        poll = LongPoll(from_the_database)
        tasks = [asyncio.create_task(Waiter(poll, one.pk).stay()) for one in (mine, mine, other)]
        while sum(map(len, poll._waiting.values())) < 3:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)
        await asyncio.to_thread(decided_in_a_thread, mine, lambda approval: decide(approval, member))
        answers = await asyncio.gather(*tasks[:2])
        assert not tasks[2].done()
        await asyncio.to_thread(decided_in_a_thread, other, services.cancel)
        return [*answers, await tasks[2]]

    assert run(scenario) == [(200, APPROVED), (200, APPROVED), (200, {"status": "cancelled"})]


@pytest.mark.django_db(transaction=True)
def test_who_waits_holds_no_connection_to_postgres() -> None:
    approval = propose()

    def look() -> int:
        with connection.cursor() as cursor:
            cursor.execute(SESSIONS_SQL)
            return int(cursor.fetchone()[0])

    def look_apart() -> int:
        try:
            return look()
        finally:
            connection.close()

    async def scenario() -> int:
        poll = LongPoll(from_the_database)
        waiters = [Waiter(poll, approval.pk) for _ in range(30)]
        tasks = [asyncio.create_task(waiter.stay()) for waiter in waiters]
        while sum(map(len, poll._waiting.values())) < 30:
            await asyncio.sleep(0.01)
        await asyncio.sleep(1)
        seen = await asyncio.to_thread(look_apart)
        for waiter in waiters:
            waiter.leave.set()
        await asyncio.gather(*tasks)
        return seen

    seen = run(scenario)
    # A server process takes a moment to be gone.
    assert wait_until(lambda: seen - look() == 2, 5), "not only the one that listens and the one that counts"


@pytest.mark.django_db(transaction=True)
def test_a_notice_reaches_each_who_listens_whole() -> None:
    approval = propose()
    project = approval.project

    async def scenario() -> list[list[dict[str, Any]]]:
        heard = stream.Listener()
        async with (
            heard.subscribe(project.pk.hex) as one,
            heard.subscribe(project.pk.hex) as two,
            heard.subscribe(stream.EVERYBODY) as all_of_them,
        ):
            queues = (one, two, all_of_them)
            assert [await queue.get() for queue in queues] == [{"event": "hello"}] * 3
            await asyncio.to_thread(decided_in_a_thread, approval, services.cancel)
            heard_by = [[await queue.get() for _ in range(2)] for queue in queues]
            heard_by[0][0].pop("event")  # as whoever writes it to a browser does
            return heard_by[1:]

    for notices in run(scenario):
        assert [notice["event"] for notice in notices] == ["approvals", "feed"]
        assert notices[0]["approval"] == approval.pk.hex
