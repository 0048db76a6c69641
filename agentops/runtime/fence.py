"""Holding a run: each claim raises the fence, and every later transaction of an older one stops at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F

from agentops.jobs.errors import LeaseLostError
from agentops.runtime import news
from agentops.runtime.models import Run, RunJob

# A process that is stopped inside a transaction holds the row until Postgres ends its session.
_PATIENCE = (
    "SELECT set_config('lock_timeout', '3s', true), set_config('idle_in_transaction_session_timeout', '15s', true)"
)


class FencedOutError(Exception):
    """Somebody else holds the run by now: nothing was written."""


@dataclass(frozen=True)
class Hold:
    """The right to advance a run, for as long as nobody else claims it."""

    run_id: UUID
    fence: int

    @contextmanager
    def transaction(self) -> Iterator[Run]:
        """Open a transaction that has the run's row and the right to change it. Raises FencedOutError.

        Others wait for the row, so that all that changes a run happens one after the other.
        """
        with _patient():
            rows = Run.objects.select_for_update(no_key=True, of=("self",)).select_related("project", "started_by")
            run = rows.filter(pk=self.run_id, fence=self.fence).first()
            if run is None:
                raise FencedOutError
            yield run
            news.announce(run)


def take(job: RunJob) -> Hold:
    """Raise the fence in the name of whoever holds the job. Raises LeaseLostError when that is somebody else."""
    with _patient():
        Run.objects.filter(pk=job.run_id).update(fence=F("fence") + 1)
        mine = RunJob.objects.select_for_update(no_key=True).filter(pk=job.pk, lease_id=job.lease_id).first()
        if mine is None:
            raise LeaseLostError(f"{job} was taken over before it began.")
        return Hold(job.run_id, Run.objects.values_list("fence", flat=True).get(pk=job.run_id))


@contextmanager
def _patient() -> Iterator[None]:
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute(_PATIENCE)
        yield
