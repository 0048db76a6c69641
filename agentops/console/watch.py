"""Watching ourselves: what is silent is on every page, and somebody outside is told each minute that we live."""

import threading
import time
from collections.abc import Callable

import structlog
from django.conf import settings
from django.db import Error
from django.db.models import TextField, Value
from django.db.models.functions import Now
from django.http import HttpRequest

from agentops.jobs.models import SEEN_EVERY, Process
from agentops.notify.models import DeliverJob
from agentops.outbound import client
from agentops.outbound.errors import OutboundError

LOOK_EVERY_S = 5.0
GRACE_S = 20.0  # after our own start the others may be starting too
LATE_S = 20.0  # a message that nobody has taken up for so long
SENTENCES = {
    "worker": "No worker runs: what arrives is stored, and only the sweeper examines it, slowly.",
    "sweeper": "No sweeper runs: deadlines, retries and forgotten work stand still.",
    "notifier": "Messages wait and nobody sends them: people are not told of alerts.",
}

log = structlog.get_logger(__name__)


def silent() -> list[str]:
    """Return which of worker, sweeper and notifier are silent. One query."""
    seen = Process.objects.filter(seen_at__gt=Now() - 3 * SEEN_EVERY).order_by().values_list("kind").distinct()
    waits = DeliverJob.objects.due(overdue_s=LATE_S).order_by()
    late = waits.annotate(what=Value("notifier", TextField())).values_list("what")[:1]
    found = {kind for (kind,) in seen.union(late)}
    return [name for name in SENTENCES if (name in found) == (name == "notifier")]


class Watch:
    """Looks at most every five seconds, whichever page asks, and keeps what it saw for all pages of its process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._look_at = clock() + GRACE_S
        self._found: list[str] = []

    def sentences(self) -> list[str]:
        """Return what to say on a page: nothing while all is well, or while somebody else is looking."""
        if self._clock() >= self._look_at and self._lock.acquire(blocking=False):
            try:
                self._look_at = self._clock() + LOOK_EVERY_S
                self._found = [SENTENCES[name] for name in silent()]
            except Error as error:
                log.warning("watch_lost_postgres", error=type(error).__name__)
            finally:
                self._lock.release()
        return self._found


watch = Watch()


def silent_parts(request: HttpRequest) -> dict[str, object]:
    """Give every page what is silent, read only where a page shows it."""
    return {"silent_parts": watch.sentences if settings.SELF_WATCH else ()}


def ping_outside() -> None:
    """Tell whoever AGENTOPS_DEADMAN_URL names that all parts run; when they do not, the silence tells.

    The call has a thread of its own: the clock waits for no network.
    """
    if not settings.DEADMAN_URL:
        return
    if quiet := silent():
        log.warning("deadman_not_pinged", silent=quiet)
        return
    threading.Thread(target=_ping, args=(settings.DEADMAN_URL,), name="deadman", daemon=True).start()


def _ping(url: str) -> None:
    try:
        answer = client.request("GET", url)
    except OutboundError as error:
        log.warning("deadman_unreachable", error=str(error))
        return
    if not 200 <= answer.status < 300:
        log.warning("deadman_refused", status=answer.status)
