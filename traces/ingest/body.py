"""From an HTTP request to the bytes of its body, within limits that hold before and after decompression."""

import threading
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from django.http import HttpRequest
from django.http.request import UnreadablePostError
from isal import igzip_lib, isal_zlib

MAX_BODY = 32 * 1024 * 1024  # bytes, after decompression
_SPARE = 1024  # bytes unpacked beyond the announced, which tell that there are more
# Work on batches is work of one interpreter: more of them at once only take turns, and everybody's answer is late.
AT_WORK = 2
SMALL = 64 * 1024  # bytes as sent that take no turn, so that a few steps do not wait behind many
_turns = threading.Semaphore(AT_WORK)
# One is read while another is stored, which is waiting for Postgres for the most part: an eighth more OTLP spans a
# second than where two are read or stored in turns. Native steps are read too fast for it to matter.
_reading = threading.Lock()


def turn(request: HttpRequest) -> AbstractContextManager[Any]:
    """Wait for one of the turns that large bodies take, and keep it while the block runs."""
    return nullcontext() if _is_small(request) else _turns


def reading(request: HttpRequest) -> AbstractContextManager[Any]:
    """Wait until no other large body is read, and let none be while the block runs."""
    return nullcontext() if _is_small(request) else _reading


def _is_small(request: HttpRequest) -> bool:
    return int(request.META.get("CONTENT_LENGTH") or 0) <= SMALL


class BodyRefusedError(Exception):
    """Raised for a body that is not read further; `status` is 400, 413 or 415."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


def read_request(request: HttpRequest) -> bytes:
    """Return the body, unpacked where it is gzip. Raises BodyRefusedError; never holds more than the limit."""
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in {"", "identity", "gzip"}:
        raise BodyRefusedError(415, f"Content-Encoding {encoding[:40]} is not read here; send gzip or no compression.")
    try:
        body = request.read(MAX_BODY + 1)
    except (UnreadablePostError, OSError):
        raise BodyRefusedError(400, "The body ended early.") from None
    if len(body) > MAX_BODY:
        raise BodyRefusedError(413, _too_large())
    return gunzip(body) if encoding == "gzip" else body


def announced_size(body: bytes) -> int:
    """Return how long a gzip body says that it is unpacked; the last four bytes of each such stream do."""
    return int.from_bytes(body[-4:], "little")


def gunzip(body: bytes, limit: int = MAX_BODY) -> bytes:
    """Return the unpacked bytes of one gzip member. Raises BodyRefusedError when they are broken or too many."""
    unpack = isal_zlib.decompressobj(wbits=31)
    parts: list[bytes] = []
    size, announced = 0, announced_size(body)
    try:
        while body and not unpack.eof:
            parts.append(unpack.decompress(body, max(min(announced, limit) - size, 0) + _SPARE))
            size += len(parts[-1])
            if size > limit:
                raise BodyRefusedError(413, _too_large())
            if size > announced:
                raise BodyRefusedError(400, "The gzip body is longer than its end says.")
            body = unpack.unconsumed_tail
    except igzip_lib.IsalError:  # type: ignore[misc]  # its stubs take the class for an instance
        raise BodyRefusedError(400, "The body is no gzip, though its Content-Encoding says so.") from None
    if not unpack.eof:
        raise BodyRefusedError(400, "The gzip body ended early.")
    if unpack.unused_data:
        raise BodyRefusedError(400, "Something follows the end of the gzip body; send one gzip member.")
    return b"".join(parts)


def _too_large() -> str:
    return f"The body is larger than {MAX_BODY // 1024**2} MiB unpacked; send it in smaller batches."
