"""The one Celery task, and what the clock does for jobs."""

import time
from datetime import timedelta
from uuid import UUID

from celery import shared_task

from agentops.jobs import queries
from agentops.jobs.models import Process
from agentops.jobs.registry import every
from agentops.jobs.runner import run_by_id, run_due
from agentops.jobs.wake import ring

LATE_S = 1.0  # a job due for longer has lost its message, was put off, or waits behind many others
LATE_WORK_S = 5.0
RINGS_PER_TICK = 4
MAX_TASK_S = 120.0


@shared_task(name="jobs.run")  # type: ignore[untyped-decorator]
def run(kind: str, job_ids: list[str]) -> None:
    """Run these jobs, or without ids those of this kind that nobody has come to."""
    if not job_ids:
        run_due([kind], overdue_s=LATE_S, for_s=LATE_WORK_S)
    end = time.monotonic() + MAX_TASK_S
    for job_id in job_ids:
        if time.monotonic() < end:  # the rest is found late, instead of this task being stopped at its time limit
            run_by_id(kind, UUID(job_id))


@every(seconds=1)
def ring_for_late_jobs() -> None:
    """Wake as many workers as there is work for. Without workers nothing is sent: nobody would ever take it."""
    if queries.worker_count():
        for kind, late in queries.late_jobs(LATE_S, at_most=RINGS_PER_TICK).items():
            ring(kind, times=late)


@every(seconds=60)
def forget_dead_processes() -> None:
    Process.objects.unseen(timedelta(hours=1)).delete()
