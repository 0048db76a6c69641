"""The Celery worker as we run it: a small pool, our logging, and a row that says that it is there."""

import gc
import os
import threading
import warnings
from contextlib import suppress
from pathlib import Path
from socket import gethostname

import structlog
from celery import signals
from celery.exceptions import SecurityWarning
from django.db import Error, connection

from agentops.celery import app
from agentops.jobs.models import SEEN_EVERY, Job, Process
from agentops.jobs.registry import worker_chores

log = structlog.get_logger(__name__)

NICENESS = 5  # a third of the weight of those who answer people and senders, where there is not enough for all
AUTOGROUP = Path("/proc/self/autogroup")  # what Linux weighs instead, for each session of processes


def run_worker(concurrency: int) -> int:
    """Work until told to stop, finish what runs, and return the exit code."""
    _give_way()
    # Inside a container root is who one is; what the warning fears, pickled messages, we do not accept.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    presence = Presence()
    signals.worker_ready.connect(presence.begin)
    queues = sorted({model.queue for model in Job.kinds().values()} | {Job.queue})
    # What is there before the fork is shared by all processes of the pool, as long as nothing writes to it.
    gc.collect()
    gc.freeze()
    worker = app.Worker(
        hostname=f"agentops-{os.getpid()}@{gethostname()}",
        pool="prefork",
        concurrency=concurrency,
        queues=queues,
        loglevel="WARNING",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )
    worker.start()
    presence.end()
    return int(worker.exitcode or 0)


def _give_way() -> None:
    """Leave the processor to web first: what was acknowledged is found a little later, and nothing is refused."""
    os.nice(NICENESS)
    with suppress(OSError):  # no Linux, or none that groups
        AUTOGROUP.write_text(str(NICENESS), encoding="ascii")


class Presence:
    """Reports every few seconds that this worker runs, from a thread, so that a slow database holds nothing up."""

    def __init__(self) -> None:
        self._ended = threading.Event()

    def begin(self, **_: object) -> None:
        threading.Thread(target=self._report_for_ever, name="presence", daemon=True).start()

    def end(self) -> None:
        self._ended.set()
        try:
            Process.objects.leave("worker")
        except Error as error:
            log.warning("worker_left_silently", error=type(error).__name__)

    def _report_for_ever(self) -> None:
        while not self._ended.is_set():
            try:
                Process.objects.report("worker")
                for run in worker_chores.values():
                    run()
            except Error as error:
                log.warning("worker_not_reported", error=type(error).__name__)
            except Exception as error:
                # A worker that no longer reports would be taken for dead.
                log.exception("worker_chore_failed", error=type(error).__name__)
            finally:
                connection.close()
            self._ended.wait(SEEN_EVERY.total_seconds())
