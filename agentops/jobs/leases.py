"""The thread that prolongs the leases a process holds, and ends the process when one of its jobs hangs."""

import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog
from django.db import Error, connection

from agentops.jobs.models import Job

RENEW_EVERY_S = 3.0
EXIT_HUNG = 70

log = structlog.get_logger(__name__)


@dataclass(eq=False, slots=True)
class _Lease:
    job: Job
    since: float = field(default_factory=time.monotonic)

    def age_s(self) -> float:
        return time.monotonic() - self.since


class Keeper:
    """Renews every 3 s what is held for longer than that; short jobs cost it nothing."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self._leases: set[_Lease] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @contextmanager
    def holding(self, job: Job) -> Iterator[None]:
        lease = _Lease(job)
        with self._changed:
            self._leases.add(lease)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._keep, name="lease-keeper", daemon=True)
                self._thread.start()
            self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._leases.discard(lease)

    def _keep(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._leases)
            time.sleep(RENEW_EVERY_S)
            with self._changed:
                old = [lease for lease in self._leases if lease.age_s() >= RENEW_EVERY_S / 2]
            self._end_when_hung(old)
            if old:
                self._renew([lease.job for lease in old])

    def _renew(self, jobs: list[Job]) -> None:
        by_model: dict[type[Job], list[Job]] = defaultdict(list)
        for job in jobs:
            by_model[type(job)].append(job)
        try:
            for model, held in by_model.items():
                lease_ids = {job.lease_id for job in held if job.lease_id}
                model.objects.renew(ids=[job.pk for job in held], lease_ids=lease_ids)
        except Error as error:
            log.warning("leases_not_renewed", jobs=len(jobs), error=type(error).__name__)
        finally:
            # Long jobs are rare: a connection of the keeper's own is not worth keeping between them.
            connection.close()

    def _end_when_hung(self, leases: list[_Lease]) -> None:
        """End the process the hard way when a job is past its limit: a thread cannot be stopped from outside.

        The attempt is counted already, the lease runs out, another process goes on, and whoever started this one
        starts it again.
        """
        for lease in leases:
            if lease.age_s() > lease.job.time_limit_s:
                log.error("job_hung", kind=lease.job.kind, job_id=str(lease.job.pk), limit_s=lease.job.time_limit_s)
                os._exit(EXIT_HUNG)


keeper = Keeper()
# A forked pool process inherits neither the thread nor the leases of its parent.
os.register_at_fork(after_in_child=keeper.forget)
