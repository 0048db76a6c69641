"""The sandbox's HTTP server: one thread for each connection, each route a function of one exchange."""

import json
import socket
import struct
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from agentops.runtime.sandbox.state import State

IDLE_S = 60
BODY_MAX = 32 * 1024 * 1024
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset


class RefusedError(Exception):
    """Raised for a request that is answered with an error: status, kind and message."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status, self.kind, self.message = status, kind, message


class Handler(BaseHTTPRequestHandler):
    """One connection; for the routes, one exchange."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_S
    server: "Sandbox"
    query: dict[str, str]

    @property
    def state(self) -> State:
        return self.server.state

    def do_GET(self) -> None:
        self._dispatch()

    do_POST = do_PUT = do_GET  # noqa: N815 - the library's names

    def _dispatch(self) -> None:
        address = urlsplit(self.path)
        self.query = {name: values[-1] for name, values in parse_qs(address.query).items()}
        self._body = self._read()
        route = self.server.routes.get((self.command, address.path))
        try:
            if route is None:
                raise RefusedError(404, "not_found_error", f"there is nothing at {self.command} {address.path}")
            route(self)
        except RefusedError as error:
            self.refuse(error)
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def _read(self) -> bytes:
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > BODY_MAX:
            self.close_connection = True
            return b""
        return self.rfile.read(int(length))

    def json(self) -> dict[str, Any]:
        """Return the body, an object. Raises RefusedError.

        Anything but application/json is refused: a page in a browser could send it here unasked.
        """
        if self.headers.get_content_type() != "application/json":
            raise RefusedError(415, "invalid_request_error", "Content-Type must be application/json")
        try:
            body = json.loads(self._body)
        except ValueError:
            raise RefusedError(400, "invalid_request_error", "the body is not JSON") from None
        if not isinstance(body, dict):
            raise RefusedError(400, "invalid_request_error", "the body must be an object")
        return body

    def answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        """Send one JSON body, or a text as HTML."""
        is_text = isinstance(body, str)
        data = body.encode() if is_text else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if is_text else "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, error: RefusedError, headers: dict[str, str] | None = None) -> None:
        """Send an error in the shape of the Messages API."""
        body = {"type": "error", "error": {"type": error.kind, "message": error.message}, "request_id": "req_sandbox"}
        self.answer(error.status, body, {"request-id": "req_sandbox", **(headers or {})})

    def stream(self, parts: Iterable[bytes], *, is_chunked: bool = True) -> None:
        """Send parts as they come. Where they are not chunked, the end of the connection is the end of the body."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header(*(("Transfer-Encoding", "chunked") if is_chunked else ("Connection", "close")))
        self.end_headers()
        for part in parts:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part) if is_chunked else part)
        if is_chunked:
            self.wfile.write(b"0\r\n\r\n")

    def reset(self) -> None:
        """Break the connection as a crash of the other side does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.connection.close()
        self.close_connection = True
        raise ConnectionAbortedError

    def log_message(self, *_: object) -> None:
        """Say nothing: whoever called knows."""


Route = Callable[[Handler], None]


class Sandbox(ThreadingHTTPServer):
    """Serves on a socket that listens already."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, door: socket.socket, state: State) -> None:
        from agentops.runtime.sandbox import effects, model

        self.state = state
        self.routes: dict[tuple[str, str], Route] = {("GET", "/livez"): live, **model.ROUTES, **effects.ROUTES}
        super().__init__(door.getsockname()[:2], Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = door

    @property
    def url(self) -> str:
        host, port = self.socket.getsockname()[:2]
        return f"http://{host}:{port}"

    def handle_error(self, *_: object) -> None:
        """Let one connection end without a word about callers that went away; others are not touched."""


def live(handler: Handler) -> None:
    handler.answer(200, {"status": "ok"})


def put_faults(place: str, kinds: frozenset[str]) -> Route:
    """Return the control call that sets which faults the next requests of this place meet."""

    def put(handler: Handler) -> None:
        faults = handler.json().get("faults")
        if not isinstance(faults, list) or not all(isinstance(fault, dict) for fault in faults):
            raise RefusedError(400, "invalid_request_error", '{"faults": […]} is expected')
        unknown = {fault.get("kind") for fault in faults} - kinds
        if unknown:
            message = f"unknown kind of fault: {', '.join(map(str, unknown))}; there are {', '.join(sorted(kinds))}"
            raise RefusedError(400, "invalid_request_error", message)
        handler.state.set_faults(place, faults)
        handler.answer(200, {"faults": faults})

    return put
