"""Runs whose job was given up because it failed, or took its process with it, too often."""

from django.db import transaction

from agentops.runtime import endings, news
from agentops.runtime.models import Run, RunJob
from agentops.runtime.states import ENDED, RunStatus


def set_aside_given_up(*, at_most: int) -> int:
    """Leave such runs to a person, and return how many there were. They go on when their job is released."""
    given_up = RunJob.objects.exclude(quarantined_at=None)
    jobs = list(given_up.exclude(run__status__in=[*ENDED, RunStatus.NEEDS_PERSON])[:at_most])
    for job in jobs:
        _set_aside(job)
    return len(jobs)


@transaction.atomic
def _set_aside(job: RunJob) -> None:
    run = Run.objects.select_for_update(no_key=True).get(pk=job.run_id)
    if run.status in (*ENDED, RunStatus.NEEDS_PERSON):
        return
    run.fence += 1  # whoever still believes to hold it does not
    run.resumes_as = RunStatus.ROLLING_BACK if run.status == RunStatus.ROLLING_BACK else RunStatus.RUNNING
    run.save(update_fields=["fence", "resumes_as"])
    endings.set_aside(run, f"It failed {job.attempts} times: {job.last_error}", what="given_up")
    news.announce(run)
