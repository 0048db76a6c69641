"""The sweeper process: a clock, and threads that run what nobody else came to, so that all works without a broker."""

import threading
from collections.abc import Callable

import structlog
from django.db import Error, close_old_connections, connection

from agentops.jobs.clock import Clock
from agentops.jobs.models import Process
from agentops.jobs.registry import handlers
from agentops.jobs.runner import run_due
from agentops.jobs.wake import publisher

OVERDUE_S = 2.0
LOOK_EVERY_S = 1.0
STOP_WITHIN_S = 4.0

log = structlog.get_logger(__name__)


def all_kinds() -> list[str]:
    return list(handlers)


def quick_kinds() -> list[str]:
    """Kinds whose handler is one transaction: a thread of their own keeps slow work from holding them up."""
    return [kind for kind, handler in handlers.items() if handler.atomic]


class Claimer(threading.Thread):
    """Runs jobs that have been due for 2 s, or, while the broker is away, as soon as there is news of them."""

    def __init__(self, stopped: threading.Event, news: threading.Condition, kinds: Callable[[], list[str]]) -> None:
        super().__init__(name=kinds.__name__, daemon=True)
        self._stopped = stopped
        self._news = news
        self._kinds = kinds

    def run(self) -> None:
        while not self._stopped.is_set():
            close_old_connections()
            if not self._work():
                with self._news:
                    self._news.wait(LOOK_EVERY_S)
        connection.close()

    def _work(self) -> int:
        try:
            return run_due(self._kinds(), overdue_s=0.0 if publisher.is_pausing else OVERDUE_S, for_s=LOOK_EVERY_S)
        except Error as error:
            log.warning("claimer_lost_postgres", error=type(error).__name__)
        except Exception as error:
            # Handlers' errors are caught further down; this one would end the thread and leave a lame sweeper.
            log.exception("claimer_failed", error=type(error).__name__)
        return 0


class Sweeper:
    def __init__(self) -> None:
        self._stopped = threading.Event()
        self._news = threading.Condition()
        self._threads: list[threading.Thread] = [
            Clock(self._stopped, on_notice=self._tell_claimers),
            Claimer(self._stopped, self._news, quick_kinds),
            Claimer(self._stopped, self._news, all_kinds),
        ]

    def run(self) -> None:
        """Work until stop() is called, and then for as long as it takes to end well, at most 4 s."""
        for thread in self._threads:
            thread.start()
        self._stopped.wait()
        self._tell_claimers()
        for thread in self._threads:
            thread.join(STOP_WITHIN_S / len(self._threads))
        try:
            Process.objects.leave("sweeper")
        except Error as error:
            log.warning("sweeper_left_silently", error=type(error).__name__)

    def stop(self) -> None:
        self._stopped.set()

    def _tell_claimers(self) -> None:
        with self._news:
            self._news.notify_all()
