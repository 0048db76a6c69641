"""The jobs of this room: a run is advanced, a decision wakes its run; and what the clock does for runs."""

from datetime import timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef

from agentops.jobs.registry import every, handles
from agentops.jobs.wake import wake
from agentops.runtime import catalog, endings, engine, quarantine
from agentops.runtime.models import Run, RunJob
from agentops.runtime.services import cancel_run
from approvals.models import ResumeJob
from traces.models import Trace

AT_ONCE = 100


@handles("run", atomic=False)
def run(job: RunJob) -> timedelta | None:
    return engine.advance(job, catalog.parts_of(job.run.agent))


@handles("resume", atomic=True)
def resume(job: ResumeJob) -> None:
    run_id = job.approval.action.run_id
    if run_id is None or not Run.objects.filter(pk=run_id).exists():
        return
    ids = RunJob.objects.touch([RunJob(run_id=run_id)])
    transaction.on_commit(lambda: wake(RunJob.kind, ids), robust=True)


@every(seconds=1)
def stop_contained_runs() -> None:
    """Cancel runs whose trace was stopped: those that work would see it by themselves, those that wait would not."""
    stopped = Trace.objects.filter(project=OuterRef("project"), trace_id=OuterRef("trace_id"), stopped_at__isnull=False)
    for each in Run.objects.unended().filter(Exists(stopped), cancel_requested_at=None)[:AT_ONCE]:
        cancel_run(each, by=None, reason=endings.stopped_because(each))


@every(seconds=5)
def set_poisoned_runs_aside() -> None:
    quarantine.set_aside_given_up(at_most=AT_ONCE)
