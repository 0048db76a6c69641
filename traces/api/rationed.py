"""Answers that hold a thread for as long as their reader takes: only a few at a time."""

from collections.abc import Iterator
from threading import BoundedSemaphore

MAX_AT_ONCE = 4  # of the 16 threads of a web process
places = BoundedSemaphore(MAX_AT_ONCE)


class AllTakenError(Exception):
    """As many long answers as there may be are on their way."""


class Rationed:
    """An iterator that has one of the places until it ends or is closed. Raises AllTakenError."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        if not places.acquire(blocking=False):
            raise AllTakenError
        self._parts = parts
        self._has_place = True

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._parts)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._has_place:
            self._has_place = False
            places.release()

    def __del__(self) -> None:
        """Nobody reads a response that a middleware replaced, and Django closes only the one it sends."""
        if getattr(self, "_has_place", False):
            self.close()
