"""The clock: one sweeper leads at a time and calls what is registered with @every; the others stand by."""

import os
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import structlog
from django.db import Error, close_old_connections, connection

from agentops.jobs.models import SEEN_EVERY, Process
from agentops.jobs.registry import chores

CHANNEL = "agentops"
APPLICATION = "agentops clock "  # and the process id: who leads can be read off pg_stat_activity
LOCK = zlib.crc32(b"agentops sweeper")
TICK_S = 1.0
SHORTEST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 2.0
SLOW_CHORE_S = 1.0
RETRY_S = 10.0

log = structlog.get_logger(__name__)


class Line:
    """The clock's own connection. Its session holds the advisory lock, so leading ends when the connection does."""

    def __init__(self, raw: "psycopg.Connection[tuple[object, ...]]") -> None:
        self._raw = raw
        self.leads = False
        self._raw.execute("SELECT set_config('application_name', %s, false)", [f"{APPLICATION}{os.getpid()}"])
        # A leader whose machine vanished must not hold the lock for hours.
        self._raw.execute("SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3")
        self._raw.execute(f"LISTEN {CHANNEL}")

    def try_to_lead(self) -> bool:
        if not self.leads:
            row = self._raw.execute("SELECT pg_try_advisory_lock(%s)", [LOCK]).fetchone()
            self.leads = bool(row and row[0])
        return self.leads

    def wait(self, seconds: float) -> bool:
        """Wait for a notice, at most so long, and return whether one came. Raises when the connection broke."""
        return any(True for _ in self._raw.notifies(timeout=seconds, stop_after=1))


@contextmanager
def open_line() -> Iterator[Line]:
    raw = connection.get_new_connection(connection.get_connection_params())
    try:
        raw.autocommit = True
        yield Line(raw)
    finally:
        raw.close()


class Clock(threading.Thread):
    """Ticks every second, on the leading sweeper only; comes back by itself when Postgres does."""

    def __init__(self, stopped: threading.Event, *, on_notice: Callable[[], None]) -> None:
        super().__init__(name="clock", daemon=True)
        self._stopped = stopped
        self._on_notice = on_notice
        self._next: dict[str, float] = {}
        self._pause_s = SHORTEST_PAUSE_S

    def run(self) -> None:
        while not self._stopped.is_set():
            try:
                with open_line() as line:
                    self._tick_for_ever(line)
            except (Error, psycopg.Error) as error:
                log.warning("clock_lost_postgres", error=type(error).__name__)
                self._pause()
            except Exception as error:
                # A sweeper whose clock ended would look alive and do nothing.
                log.exception("clock_failed", error=type(error).__name__)
                self._pause()
            close_old_connections()
        connection.close()

    def _pause(self) -> None:
        self._pause_s = min(LONGEST_PAUSE_S, self._pause_s * 2)
        self._stopped.wait(self._pause_s)

    def _tick_for_ever(self, line: Line) -> None:
        while not self._stopped.is_set():
            if not line.leads and line.try_to_lead():
                log.info("clock_leads")
            self._do("report", lambda: Process.objects.report("sweeper"), SEEN_EVERY.total_seconds())
            for name, chore in chores.items() if line.leads else ():
                self._do(name, chore.run, chore.every_s)
            self._pause_s = SHORTEST_PAUSE_S
            if line.wait(TICK_S):
                self._on_notice()

    def _do(self, name: str, act: Callable[[], None], every_s: float) -> None:
        started = time.monotonic()
        # Half a tick early is on time: ticks do not fall on the second.
        if started < self._next.get(name, 0.0) - TICK_S / 2:
            return
        self._next[name] = started + every_s
        try:
            act()
        except Exception as error:
            log.exception("chore_failed", chore=name, error=type(error).__name__)
            self._next[name] = started + min(every_s, RETRY_S)
            close_old_connections()
        if (took_s := time.monotonic() - started) > SLOW_CHORE_S:
            log.warning("chore_slow", chore=name, took_s=round(took_s, 1))
