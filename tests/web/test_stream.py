"""The live stream: what an open one holds, and how many there may be."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.db import connection

from agentops.web import stream
from tests.builders import make_membership, signed_in

SESSIONS_SQL = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"
)


def sessions() -> int:
    with connection.cursor() as cursor:
        cursor.execute(SESSIONS_SQL)
        return int(cursor.fetchone()[0])


class Browser:
    """One browser that opens the stream and stays until it is told to leave."""

    def __init__(self, cookie: str) -> None:
        self.cookie = cookie
        self.status = 0
        self.leave = asyncio.Event()
        self.asked = False

    async def receive(self) -> dict[str, Any]:
        if not self.asked:
            self.asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.leave.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        self.status = message.get("status", self.status)

    async def stay(self) -> None:
        headers = [(b"host", b"localhost"), (b"cookie", self.cookie.encode())]
        scope = {"type": "http", "method": "GET", "path": "/stream", "query_string": b"", "headers": headers}
        application: Any = get_asgi_application()
        await application(scope, self.receive, self.send)


async def with_open_streams(cookie: str, count: int, look: Callable[[], int]) -> int:
    """Open so many streams, look once all of them have answered, and leave."""
    browsers = [Browser(cookie) for _ in range(count)]
    tasks = [asyncio.create_task(browser.stay()) for browser in browsers]
    while not all(browser.status for browser in browsers):
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    seen = await asyncio.to_thread(look)
    for browser in browsers:
        browser.leave.set()
    await asyncio.gather(*tasks)
    assert {browser.status for browser in browsers} == {200}
    return seen


@pytest.mark.django_db(transaction=True)
def test_open_streams_share_one_connection_to_postgres() -> None:
    client = signed_in(make_membership())
    cookie = f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"

    def look() -> int:
        try:
            return sessions()
        finally:
            connection.close()

    before = sessions()
    with ThreadPoolExecutor(1) as thread:  # the browser of other tests runs a loop in this one
        during = thread.submit(lambda: asyncio.run(with_open_streams(cookie, 6, look))).result()
    assert during - before == 2, "the one that listens and the one that counts"


@pytest.mark.django_db
def test_a_process_with_too_many_open_streams_asks_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MAX_OPEN", 0)
    answer = signed_in(make_membership()).get("/stream")
    assert (answer.status_code, answer["Retry-After"]) == (503, "30")
