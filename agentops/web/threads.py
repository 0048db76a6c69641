"""Django as WSGI in threads, behind a door that has read the body: the answer comes back in as few hops as it can.

Each hop from a thread to the event loop costs two context switches, which is what most requests would cost else. An
answer in one piece goes with the thread's return, a long one in parts of 64 KiB.
"""

import asyncio
import contextvars
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

from agentops.web.asgi_types import Message, Receive, Scope, Send

PART_BYTES = 64 * 1024

Environ = dict[str, Any]
Wsgi = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


class Threads:
    """An ASGI application that runs a WSGI one, each request in one of so many threads."""

    def __init__(self, app: Wsgi, *, count: int) -> None:
        self._app = app
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="wsgi")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request whose body is in the first message."""
        whole = await receive()
        if whole["type"] == "http.disconnect":
            return
        loop = asyncio.get_running_loop()

        def send_from_thread(message: Message) -> None:
            asyncio.run_coroutine_threadsafe(send(message), loop).result()

        said = environ(scope, whole.get("body", b""))
        run = contextvars.copy_context().run
        for message in await loop.run_in_executor(self._pool, run, self._answer, said, send_from_thread):
            await send(message)

    def _answer(self, said: Environ, send: Callable[[Message], None]) -> list[Message]:
        """Run the application and return what is left to be sent: everything, for an answer that comes in one piece."""
        unsent: list[Message] = []
        part = bytearray()

        def start(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> Callable[[bytes], None]:
            unsent[:] = [{"type": "http.response.start", "status": int(status[:3]), "headers": encoded(headers)}]
            return part.extend

        pieces = self._app(said, start)
        try:
            for piece in pieces:
                if len(part) >= PART_BYTES:
                    for message in (*unsent, _body(part, more=True)):
                        send(message)
                    unsent.clear()
                    part.clear()
                part += piece
        finally:
            if hasattr(pieces, "close"):
                pieces.close()
        return [*unsent, _body(part, more=False)]


def _body(part: bytearray, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": bytes(part), "more_body": more}


def encoded(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.strip().encode("latin-1")) for name, value in headers]


def environ(scope: Scope, body: bytes) -> Environ:
    """Return a request as PEP 3333 wants it; a header that comes twice is joined by commas."""
    host, port = scope.get("server") or ("localhost", 80)
    said: Environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode().decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": host,
        "SERVER_PORT": str(port or 0),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    if client := scope.get("client"):
        said["REMOTE_ADDR"], said["REMOTE_PORT"] = client[0], str(client[1])
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").upper().replace("-", "_"), raw_value.decode("latin-1")
        key = name if name in {"CONTENT_LENGTH", "CONTENT_TYPE"} else f"HTTP_{name}"
        said[key] = f"{said[key]},{value}" if key in said else value
    return said
