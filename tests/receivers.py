"""Real local receivers that misbehave as a test wants: they read whole requests and write raw bytes."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """Raw bytes of an answer; `retry_after` becomes Retry-After."""
    named = {name.replace("_", "-"): value for name, value in headers.items()} | {"Content-Length": str(len(body))}
    lines = [f"HTTP/1.1 {status} Because", *(f"{name}: {value}" for name, value in named.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass
class Request:
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Receiver:
    """Listens on a loopback port. `behave` gets the connection and the request; without it every answer is 200."""

    behave: Callable[[socket.socket, Request], None] = lambda line, request: line.sendall(OK)
    tls: ssl.SSLContext | None = None
    host: str = "127.0.0.1"
    requests: list[Request] = field(default_factory=list)
    connections: int = 0

    def __enter__(self) -> Self:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._door = socket.socket(family, socket.SOCK_STREAM)
        self._door.bind((self.host, 0))
        self._door.listen(64)
        self.port: int = self._door.getsockname()[1]
        self._open = True
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._open = False
        # Closing alone does not wake a thread that waits in accept().
        self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}/hook"

    def _serve(self) -> None:
        while self._open:
            try:
                line, _ = self._door.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._handle, args=(line,), daemon=True).start()

    def _handle(self, line: socket.socket) -> None:
        try:
            line = self.tls.wrap_socket(line, server_side=True) if self.tls else line
            request = _read(line)
            self.requests.append(request)
            self.behave(line, request)
        except OSError:
            pass  # the client has hung up, which is what some tests are about
        finally:
            line.close()


def _read(line: socket.socket) -> Request:
    data = b""
    while b"\r\n\r\n" not in data:
        data += _some(line)
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += _some(line)
    method, target, _ = first.split(" ")
    return Request(method, target, headers, body)


def _some(line: socket.socket) -> bytes:
    data = line.recv(65_536)
    if not data:
        raise ConnectionError("the client has hung up")
    return data


def says(raw: bytes) -> Callable[[socket.socket, Request], None]:
    """A behaviour: write these bytes."""
    return lambda line, request: line.sendall(raw)


@contextmanager
def receiving(raw: bytes = OK, **options: object) -> Iterator[Receiver]:
    with Receiver(says(raw), **options) as receiver:  # type: ignore[arg-type]
        yield receiver
