"""Rolling back: what a run did is undone, strictly in reverse, one at a time, each by its own key until it is done."""

from datetime import datetime, timedelta

import msgspec
import structlog
from django.db import transaction
from django.db.models.functions import Now

from agentops.jobs.errors import describe
from agentops.runtime import endings, story
from agentops.runtime.calls import about
from agentops.runtime.failpoints import failpoint
from agentops.runtime.fence import Hold
from agentops.runtime.models import Compensation, Run
from agentops.runtime.parts import Parts, Pause
from agentops.runtime.saga import after_failure, next_to_undo, undo_call
from agentops.runtime.states import RunStatus, UndoStatus
from agentops.runtime.tools.base import CompensationRefusedError, Effect, Tool
from traces.alerts import system

log = structlog.get_logger(__name__)


class Failure(msgspec.Struct, frozen=True):
    """Why an effect is not undone; a final one is not tried again."""

    reason: str
    is_final: bool = False


def step(hold: Hold, run: Run, parts: Parts) -> Pause | None:
    """Undo the next effect, or end the run when none is left or one cannot be undone."""
    compensation = next_to_undo(list(run.compensations.select_related("call").order_by("call__turn", "call__ordinal")))
    if compensation is None:
        with hold.transaction() as run:
            endings.finish(run, run.ends_as, run.reason, RunStatus.ROLLED_BACK)
        return None
    if compensation.status == UndoStatus.DEAD:
        _give_up(hold, compensation, parts)
        return None
    left = _wait_of(compensation)
    if left > timedelta():
        return Pause(left)
    _undo(hold, run, compensation, parts)
    return None


def _undo(hold: Hold, run: Run, compensation: Compensation, parts: Parts) -> None:
    began = _intend(hold, compensation)
    compensation.call.run = run
    tool = parts.tools.get(compensation.call.tool)
    if tool is not None and tool.effect == Effect.TRANSACTIONAL:
        with hold.transaction() as run:
            _record(run, compensation, _compensate_inside(tool, compensation), began)
        return
    failure = _compensate(tool, compensation)
    failpoint("after_undo")
    with hold.transaction() as run:
        failpoint("in_undo_record")
        _record(run, compensation, failure, began)
    failpoint("after_undo_record")


def _intend(hold: Hold, compensation: Compensation) -> datetime:
    """Commit that undoing begins, whatever comes of it; one that was cut off begins again."""
    with hold.transaction() as run:
        failpoint("in_undo_intent")
        if compensation.status != UndoStatus.RUNNING:
            compensation.status = UndoStatus.RUNNING
        compensation.attempts += 1
        compensation.step_number = compensation.step_number or story.next_number(run)
        compensation.save(update_fields=["status", "attempts", "step_number"])
        began = endings.now(run)
    failpoint("after_undo_intent")
    return began


def _compensate(tool: Tool | None, compensation: Compensation) -> Failure | None:
    if tool is None:
        return Failure("The tool is gone by now.", is_final=True)
    call = undo_call(about(compensation.call, compensation.attempts), compensation.attempts)
    try:
        tool.compensate(compensation.arguments, compensation.remembered, call)
    except CompensationRefusedError as error:
        return Failure(str(error), is_final=True)
    except Exception as error:
        log.warning("undo_failed", tool=tool.name, attempts=compensation.attempts, error=describe(error))
        return Failure(describe(error))
    return None


def _compensate_inside(tool: Tool, compensation: Compensation) -> Failure | None:
    """Undo a TRANSACTIONAL call within the transaction that records it."""
    savepoint = transaction.savepoint()
    failure = _compensate(tool, compensation)
    if failure is None:
        transaction.savepoint_commit(savepoint)
    else:
        transaction.savepoint_rollback(savepoint)
    return failure


def _record(run: Run, compensation: Compensation, failure: Failure | None, began: datetime) -> None:
    at = endings.now(run)
    compensation.last_error = failure.reason if failure else ""
    if failure is None:
        compensation.status, compensation.ended_at = UndoStatus.DONE, at
    else:
        compensation.status, wait_s = after_failure(compensation.attempts, is_final=failure.is_final)
        compensation.next_at = at + timedelta(seconds=wait_s)
    compensation.save(update_fields=["status", "ended_at", "last_error", "next_at"])
    if compensation.status in (UndoStatus.DONE, UndoStatus.DEAD):
        story.undone(run, compensation, at=began, ended_at=at, error=compensation.last_error)


def _give_up(hold: Hold, compensation: Compensation, parts: Parts) -> None:
    """Leave the rest to a person, who is told what to do by hand; nothing before it is undone without them."""
    tool = compensation.call.tool
    with hold.transaction() as run:
        system.notice_not_undone(
            run.project_id,
            run_id=run.pk,
            agent=run.agent,
            tool_name=tool,
            reason=compensation.last_error,
            manual_steps=endings.manual_steps(parts, compensation),
            trace_id=run.trace_id,
        )
        endings.set_aside(run, f"{tool} could not be undone: {compensation.last_error}", what="")


def _wait_of(compensation: Compensation) -> timedelta:
    """Return how long to wait for the next attempt, by the database's clock. One query."""
    rows = Compensation.objects.filter(pk=compensation.pk).annotate(now=Now())
    now: datetime = rows.values_list("now", flat=True).get()
    return compensation.next_at - now
