"""Telling a worker at once that jobs are due: best effort, in the background, never in anyone's way."""

import os
import threading
import time
from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Any
from uuid import UUID

import structlog

from agentops.celery import app
from agentops.jobs.registry import handled

IDS_PER_MESSAGE = 16  # few, so that several workers share what is much; a message costs a millisecond of CPU
MAX_WAITING = 1_000  # messages; what does not fit is found by the sweeper
PAUSE_S = 3.0  # after a failure nothing is tried for so long
BROKER_TIMEOUT_S = 2.0

log = structlog.get_logger(__name__)

Message = tuple[str, str, list[str]]


class Publisher:
    """One thread a process that hands messages to the broker.

    The caller only appends to a bounded list, so a broker that is down, hung or full costs it nothing at all.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Start anew, as a forked process must: it inherits neither the thread nor a connection it may use."""
        self._waiting: deque[Message] = deque(maxlen=MAX_WAITING)
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._producer: Any = None
        self._failed_at: float | None = None

    @property
    def is_pausing(self) -> bool:
        """Whether the broker was away a moment ago."""
        return self._failed_at is not None and time.monotonic() - self._failed_at < PAUSE_S

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def put(self, messages: Iterable[Message]) -> None:
        if self.is_pausing:
            return
        with self._changed:
            self._waiting.extend(messages)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._publish_for_ever, name="publisher", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _publish_for_ever(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                queue, kind, ids = self._waiting.popleft()
            try:
                self._publish(queue, kind, ids)
                self._failed_at = None
            except Exception as error:
                self._pause(error)

    def _publish(self, queue: str, kind: str, ids: list[str]) -> None:
        if self._producer is None:
            self._producer = app.amqp.Producer(_connection(), auto_declare=False)
        app.send_task("jobs.run", (kind, ids), queue=queue, producer=self._producer, retry=False)

    def _pause(self, error: Exception) -> None:
        self._failed_at = time.monotonic()
        log.warning("broker_away", error=type(error).__name__, dropped=len(self._waiting) + 1)
        self._waiting.clear()
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.connection.collect(socket_timeout=0.1)


def _connection() -> Any:
    limits = {"socket_timeout": BROKER_TIMEOUT_S, "socket_connect_timeout": BROKER_TIMEOUT_S, "max_retries": 0}
    return app.connection_for_write(connect_timeout=BROKER_TIMEOUT_S, transport_options=limits)


publisher = Publisher()
os.register_at_fork(after_in_child=publisher.forget)


def wake(kind: str, ids: Iterable[UUID]) -> None:
    """Tell workers that these jobs are due. Call it after commit; returns at once, never raises.

    A message that never arrives costs seconds: the sweeper finds the rows.
    """
    model, rest = handled().get(kind), iter(ids)
    while model and (some := [str(job_id) for job_id in islice(rest, IDS_PER_MESSAGE)]):
        publisher.put([(model.queue, kind, some)])


def ring(kind: str, *, times: int) -> None:
    """Tell workers that jobs of this kind wait for longer than they should, whichever they are."""
    publisher.put([(handled()[kind].queue, kind, [])] * times)
