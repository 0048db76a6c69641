"""Running jobs: claim one, hand it to its handler under a kept lease, finish or fail it."""

import time
from collections.abc import Sequence
from uuid import UUID

import structlog
from django.db import Error, close_old_connections, transaction

from agentops.jobs.errors import LeaseLostError, describe
from agentops.jobs.leases import keeper
from agentops.jobs.models import Job
from agentops.jobs.queries import late_jobs
from agentops.jobs.registry import Handler, handled, handlers

log = structlog.get_logger(__name__)


def run_claimed(job: Job) -> bool:
    """Run one claimed job and return whether it is due again at once. Never raises for what the handler did."""
    handler = handlers[job.kind]
    with keeper.holding(job), structlog.contextvars.bound_contextvars(kind=job.kind, job_id=str(job.pk)):
        try:
            return _handle(handler, job)
        except LeaseLostError:
            log.warning("job_lease_lost", attempts=job.attempts)
        except (Exception, SystemExit) as error:
            _give_back(job, error)
    return False


def run_by_id(kind: str, job_id: UUID) -> bool:
    """Run this job if it is due and free, again while it is touched meanwhile; return whether it ran."""
    model = handled().get(kind)
    ran = False
    while model and (claimed := model.objects.claim(ids=[job_id])):
        ran = True
        if not run_claimed(claimed[0]):
            break
    return ran


def run_due(kinds: Sequence[str], *, overdue_s: float, for_s: float) -> int:
    """Run due jobs of these kinds, one of each in turn, for about `for_s` seconds or until none is left."""
    busy = [handled()[kind] for kind in late_jobs(overdue_s, at_most=1, kinds=kinds)]
    end, count = time.monotonic() + for_s, 0
    while busy and time.monotonic() < end:
        for model in list(busy):
            claimed = model.objects.claim(overdue_s=overdue_s)
            if claimed:
                run_claimed(claimed[0])
                count += 1
            else:
                busy.remove(model)
    return count


def _handle(handler: Handler, job: Job) -> bool:
    if handler.atomic:
        with transaction.atomic():
            return job.finish(again_in=handler.run(job))
    return job.finish(again_in=handler.run(job))


def _give_back(job: Job, error: BaseException) -> None:
    reason = describe(error)
    log.warning("job_failed", attempts=job.attempts, error=reason)
    close_old_connections()  # the handler may have failed because its connection broke
    try:
        job.fail(reason)
    except Error as lost:
        # The database is away: the lease runs out, and the attempt was counted when the job was claimed.
        log.warning("job_not_given_back", error=type(lost).__name__)
