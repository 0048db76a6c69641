"""The one HTTP client for addresses that people typed: where it may go, how long it takes, how much it reads.

No redirects, no proxies, no cookies, no decompression, one resolution of the name for each request. The standard
library's client cannot bound the whole of an exchange, only each read; here every read gets what is left of the time.
"""

import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address

import h11

from agentops.outbound import guard
from agentops.outbound.address import Address, parse
from agentops.outbound.errors import OutboundError, Reason

TIMEOUT_S = 15.0
CONNECT_S = 5.0
MAX_ANSWER = 64 * 1024  # bytes read, headers included
CHUNK = 16 * 1024

Resolver = Callable[[str, int], list[str]]


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]  # names in lower case; of a name that comes twice, the last
    body: bytes


class Deadline:
    """What is left of the time that the whole exchange may take."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left_s(self) -> float:
        """Return the seconds left. Raises OutboundError when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise OutboundError(Reason.TIMED_OUT)
        return left


def system_resolver(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def request(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    timeout_s: float = TIMEOUT_S,
    resolve: Resolver = system_resolver,
) -> Answer:
    """Send one request and return the answer, whatever its status. Raises OutboundError."""
    address = parse(url)
    guard.check(address)
    deadline = Deadline(timeout_s)
    wire = h11.Connection(h11.CLIENT)
    message = _message(wire, method, address, headers or {}, body)
    try:
        places = _resolve(address, deadline, resolve)
        with closing(_connect(address, places, deadline)) as line:
            _send(line, message, deadline)
            return _receive(line, wire, deadline)
    except ssl.SSLCertVerificationError:
        raise OutboundError(Reason.BAD_CERTIFICATE) from None
    except TimeoutError:
        raise OutboundError(Reason.TIMED_OUT) from None
    except OSError:
        raise OutboundError(Reason.NO_ANSWER) from None


def _message(wire: h11.Connection, method: str, address: Address, headers: Mapping[str, str], body: bytes) -> bytes:
    """Return the request as bytes. h11 refuses names and values that would become another header."""
    own = {"host": address.host_header, "connection": "close", "user-agent": "AgentOps", "accept-encoding": "identity"}
    given = {name.lower(): value for name, value in headers.items()}
    length = {"content-length": str(len(body))} if body or method not in {"GET", "HEAD"} else {}
    try:
        pairs = [(name.encode("ascii"), value.encode("ascii")) for name, value in {**given, **own, **length}.items()]
        head = h11.Request(method=method, target=address.target, headers=pairs)
        events: Iterable[h11.Event] = [head, h11.Data(data=body), h11.EndOfMessage()]
        return b"".join(filter(None, map(wire.send, events)))
    except (h11.LocalProtocolError, UnicodeEncodeError):
        raise OutboundError(Reason.BAD_ADDRESS, "The headers have characters that no header may have.") from None


def _resolve(address: Address, deadline: Deadline, resolve: Resolver) -> list[str]:
    """Return the IP addresses of the name, all of them checked. The name is asked for once, and never again."""
    found = [address.host] if address.ip else _ask(address, deadline, resolve)
    guard.check_all(address, [ip_address(place) for place in found])
    return found


def _ask(address: Address, deadline: Deadline, resolve: Resolver) -> list[str]:
    """Resolve in a thread that is left behind when it takes too long: the system's resolver knows no deadline."""
    answers: queue.SimpleQueue[list[str]] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(resolve(address.host, address.port))
        except (OSError, UnicodeError):
            answers.put([])

    threading.Thread(target=ask, name="resolver", daemon=True).start()
    try:
        found = answers.get(timeout=deadline.left_s())
    except queue.Empty:
        raise OutboundError(Reason.TIMED_OUT) from None
    if not found:
        # Whether a name of our own network exists is nobody's business.
        raise OutboundError(Reason.NOT_ALLOWED if guard.leads_inside(address.host) else Reason.NOT_FOUND)
    return found


def _connect(address: Address, places: list[str], deadline: Deadline) -> socket.socket:
    """Connect to the first of the checked addresses that answers, as the host that was typed."""
    for place in places:
        try:
            line = dial(place, address.port, min(CONNECT_S, deadline.left_s()))
        except OSError:
            if place == places[-1]:
                raise
            continue
        try:
            guard.check_all(address, [ip_address(line.getpeername()[0])])
            if address.scheme == "http":
                return line
            line.settimeout(deadline.left_s())
            return _tls().wrap_socket(line, server_hostname=address.host.rstrip("."))
        except BaseException:
            line.close()
            raise
    raise OutboundError(Reason.NO_ANSWER)


def dial(place: str, port: int, timeout_s: float) -> socket.socket:
    """Connect to an IP address: no name is resolved here."""
    line = socket.socket(socket.AF_INET6 if ":" in place else socket.AF_INET, socket.SOCK_STREAM)
    try:
        line.settimeout(timeout_s)
        line.connect((place, port))
    except BaseException:
        line.close()
        raise
    return line


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _send(line: socket.socket, message: bytes, deadline: Deadline) -> None:
    rest = memoryview(message)
    while rest:
        line.settimeout(deadline.left_s())
        rest = rest[line.send(rest) :]


def _receive(line: socket.socket, wire: h11.Connection, deadline: Deadline) -> Answer:
    """Read the answer to its end, or fail: a receiver that drips or never stops has not answered."""
    head: h11.Response | None = None
    body = bytearray()
    try:
        for event in _events(line, wire, deadline):
            if isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                return Answer(head.status_code, _headers(head), bytes(body))
            elif not isinstance(event, h11.InformationalResponse):  # after a 1xx the real answer follows
                break
    except h11.RemoteProtocolError:
        pass
    raise OutboundError(Reason.BAD_ANSWER)


def _events(line: socket.socket, wire: h11.Connection, deadline: Deadline) -> Iterator[object]:
    room = MAX_ANSWER
    while True:
        event = wire.next_event()
        if event is not h11.NEED_DATA:
            yield event
        elif room > 0:
            line.settimeout(deadline.left_s())
            data = line.recv(min(CHUNK, room))
            room -= len(data)
            wire.receive_data(data)
        else:
            raise OutboundError(Reason.TOO_LARGE)


def _headers(head: h11.Response) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
