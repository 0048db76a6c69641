"""Advancing a run: each move looks at its rows, does one thing, and commits it; so any process can make the next."""

import time
from datetime import timedelta

import structlog
from django.db import OperationalError
from psycopg.errors import LockNotAvailable

from agentops.jobs.errors import LeaseLostError
from agentops.runtime import asking, calls, endings, gating, records, undo
from agentops.runtime.fence import FencedOutError, Hold, take
from agentops.runtime.models import LateResult, Run, RunJob, ToolCall
from agentops.runtime.parts import Parts, Pause
from agentops.runtime.states import ENDED, UNSETTLED, CallStatus, RunStatus

SLICE_S = 20.0  # then another claim goes on: the attempts of the job count crashes, not work
LOCKED = timedelta(seconds=2)

log = structlog.get_logger(__name__)


def advance(job: RunJob, parts: Parts) -> timedelta | None:
    """Advance a run until it waits for somebody or has ended; return after how long to look again.

    Raises LeaseLostError when another process holds the run by now: nothing more is written then.
    """
    try:
        hold = take(job)
        return _advance(hold, parts)
    except FencedOutError:
        raise LeaseLostError(f"{job} was taken over.") from None
    except OperationalError as error:
        # A process that is stopped inside a transaction holds the row, for 15 s at most.
        if isinstance(error.__cause__, LockNotAvailable):
            return LOCKED
        raise


def _advance(hold: Hold, parts: Parts) -> timedelta | None:
    end = time.monotonic() + SLICE_S
    while time.monotonic() < end:
        pause = _move(hold, parts)
        if pause is not None:
            return pause.after
    RunJob.objects.touch([RunJob(run_id=hold.run_id)])
    return None


def _move(hold: Hold, parts: Parts) -> Pause | None:
    """Do the next thing that the rows ask for. None: there is more to do."""
    run = Run.objects.select_related("project").get(pk=hold.run_id)
    if run.status in ENDED:
        return Pause()
    if run.status == RunStatus.NEEDS_PERSON:
        return _look_again(hold, run)
    if run.status == RunStatus.QUEUED:
        endings.begin(hold)
        return None
    call = run.calls.filter(status__in=UNSETTLED).in_order().first()
    if call is not None and call.status == CallStatus.EXECUTING:
        return calls.recover(hold, call, parts)
    if run.status == RunStatus.ROLLING_BACK:
        return undo.step(hold, run, parts)
    return _work(hold, run, call, parts)


def _work(hold: Hold, run: Run, call: ToolCall | None, parts: Parts) -> Pause | None:
    """Bring the next call nearer to its end; without one, let the model have the word."""
    stop = endings.stop_of(run)
    if stop is not None:
        endings.close(hold, *stop)
        return None
    if call is None:
        return asking.next_turn(hold, run, parts)
    if call.status == CallStatus.WAITING_APPROVAL:
        waiting = run.calls.filter(status=CallStatus.WAITING_APPROVAL).in_order()
        return gating.settle(hold, list(waiting))
    if call.status == CallStatus.READY:
        return calls.perform(hold, call, parts)
    asking.ask_again(hold, call, parts)
    return None


def _look_again(hold: Hold, run: Run) -> Pause | None:
    """Go on with a run that was left to a person: what was unknown is known by now, or they want the rest undone."""
    late = LateResult.objects.filter(call__run=run, call__status=CallStatus.UNKNOWN).select_related("call").first()
    if late is not None and late.n == late.call.attempt:
        with hold.transaction() as held:
            records.adopt(held, late)
    elif run.cancel_requested_at is not None:
        endings.close(hold, RunStatus.CANCELLED, run.cancel_reason)
    elif run.resumes_as:
        endings.resume(hold)
    else:
        return Pause()
    return None
