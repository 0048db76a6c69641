"""The lock of a call that must not be made twice: held on a connection of its own, so it lasts as long as the process.

A process that dies drops it at once, one that is paused keeps it; so whoever gets it knows that nobody is at work.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from hashlib import blake2b

import psycopg
from django.db import connection

from agentops.runtime.tools.base import Effect

EXCLUSIVE = frozenset({Effect.PROBEABLE, Effect.UNSAFE})

RawConnection = psycopg.Connection[tuple[object, ...]]


class BusyError(Exception):
    """Another process is at work on this call, or sleeps over it."""


class Lock:
    """A session of Postgres that holds the lock; never one of a pool that others use."""

    def __init__(self, raw: RawConnection) -> None:
        self._raw = raw

    def is_in_time(self, not_after: datetime) -> bool:
        """Say whether the lock is still held and the moment has not passed. Ask right before the effect."""
        try:
            row = self._raw.execute("SELECT clock_timestamp() <= %s", [not_after]).fetchone()
        except psycopg.Error:
            return False
        return bool(row and row[0])


@contextmanager
def exclusive(key: str, effect: Effect) -> Iterator[Lock | None]:
    """Hold the lock of a call while the block runs, where its effect needs one. Raises BusyError."""
    if effect not in EXCLUSIVE:
        yield None
        return
    raw: RawConnection = connection.get_new_connection(connection.get_connection_params())
    try:
        raw.autocommit = True
        # A vanished machine must not hold the lock for hours.
        raw.execute("SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3")
        number = int.from_bytes(blake2b(key.encode(), digest_size=8, person=b"tool call").digest(), signed=True)
        row = raw.execute("SELECT pg_try_advisory_lock(%s)", [number]).fetchone()
        if not row or not row[0]:
            raise BusyError
        yield Lock(raw)
    finally:
        raw.close()


def is_in_time(lock: Lock | None, not_after: datetime) -> bool:
    """Say whether an attempt may still begin, by the database's clock."""
    if lock is not None:
        return lock.is_in_time(not_after)
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp() <= %s", [not_after])
        return bool(cursor.fetchone()[0])
