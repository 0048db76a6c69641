"""Making a call: what is about to happen is committed, then it happens, then what came of it is committed.

Between the two commits nothing is known. A process that finds a call there looks at its effect class: what may be done
again is done again, what can be asked for is asked for, and the rest goes to a person.
"""

import time
from datetime import datetime, timedelta
from typing import Any

import msgspec
import structlog
from django.db import Error, connection, transaction
from django.db.models.functions import Now

from agentops.jobs.errors import describe
from agentops.runtime import gate, gating, records
from agentops.runtime.dispatch import tool_error
from agentops.runtime.failpoints import failpoint
from agentops.runtime.fence import FencedOutError, Hold
from agentops.runtime.gate import NotApprovedError, StaleError
from agentops.runtime.locks import BusyError, Lock, exclusive, is_in_time
from agentops.runtime.models import Compensation, ToolAttempt, ToolCall
from agentops.runtime.parts import Parts, Pause
from agentops.runtime.records import Outcome
from agentops.runtime.saga import undo_key
from agentops.runtime.states import CallStatus
from agentops.runtime.tools.base import Call, Effect, OutcomeUnknownError, Tool, ToolError

SNOOZE = timedelta(seconds=2)  # while another process is at work on the call, or sleeps over it
BACKOFF_S = (1.0, 2.0, 5.0, 15.0)
MAX_ATTEMPTS = len(BACKOFF_S) + 1
MAY_BEGIN_WITHIN_S = 60.0  # after its intent, with the lock still held
KEEP_LATE_FOR_S = 20.0  # while Postgres is away

log = structlog.get_logger(__name__)


class StoppedError(Exception):
    """The run is to stop: nothing may begin."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try of a call, as it was committed."""

    call: ToolCall
    tool: Tool
    n: int
    not_after: datetime

    @property
    def arguments(self) -> dict[str, Any]:
        return dict(self.call.runs_with)

    @property
    def about(self) -> Call:
        return about(self.call, self.n)


def about(call: ToolCall, n: int) -> Call:
    """Return a call as its tool sees it."""
    run = call.run
    return Call(run_id=str(run.pk), key=call.key, project_id=str(run.project_id), attempt=n)


def perform(hold: Hold, call: ToolCall, parts: Parts) -> Pause | None:
    """Make a call that may be made: for the first time, or again because it did not happen."""
    tool = parts.tools.get(call.tool)
    if tool is None:
        records.deny(hold, call, {"status": "unknown_tool", "tool": call.tool, "reason": "The tool is gone by now."})
        return None
    try:
        with exclusive(call.key, tool.effect) as lock:
            remembered = tool.remember(dict(call.runs_with), about(call, 1)) if tool.has_compensation else None
            return _make(hold, _intend(hold, call, tool, parts, remembered), lock)
    except BusyError:
        return Pause(SNOOZE)
    except ToolError as error:  # of remember
        records.deny(hold, call, tool_error(str(error)))
    except StoppedError:
        return None
    except StaleError:
        records.supersede(hold, call)
    except NotApprovedError:
        gating.take_back(hold, call)
    return None


def recover(hold: Hold, call: ToolCall, parts: Parts) -> Pause | None:
    """Find out what became of an attempt whose end was not recorded, or make another."""
    tool = parts.tools.get(call.tool)
    # A tool that is another by now must not be asked to finish what the one before began.
    effect = tool.effect if tool and parts.hashes.get(call.tool) == call.definition_hash else Effect.UNSAFE
    try:
        with exclusive(call.key, effect) as lock:
            late = call.late_results.filter(n=call.attempt).first()
            if late is not None and late.outcome != records.NOT_STARTED:
                return _record(hold, call, Outcome(kind=late.outcome, result=late.result))
            attempt = call.attempts.get(n=call.attempt)
            if records.NOT_STARTED in (attempt.outcome, late.outcome if late else ""):
                effect_done: Outcome | None = Outcome(kind=records.NOT_STARTED)
            else:
                effect_done = _look(call, tool, effect)
            if effect_done is None or tool is None:
                records.unknown(hold, call)
                return None
            if effect_done.kind == records.NOT_STARTED:
                return _make(hold, _intend_again(hold, call, tool), lock)
            return _record(hold, call, effect_done)
    except BusyError:
        return Pause(SNOOZE)


def _look(call: ToolCall, tool: Tool | None, effect: Effect) -> Outcome | None:
    """Say what became of a lost attempt, or NOT_STARTED where it may be made again; None: nobody can say."""
    again = Outcome(kind=records.NOT_STARTED)
    if tool is None or effect == Effect.UNSAFE:
        return None
    if effect == Effect.TRANSACTIONAL:
        return again  # what is not recorded did not happen
    if effect == Effect.READ:
        said = tool_error("The tool gave no answer, several times.")
        return again if call.attempt < MAX_ATTEMPTS else Outcome(kind=records.FAILED, result=said)
    if call.attempt >= MAX_ATTEMPTS:
        return None
    if effect == Effect.IDEMPOTENT:
        kept = timedelta(seconds=tool.key_kept_s)
        is_kept = call.attempts.filter(n=1, started_at__gt=Now() - kept).exists()
        return again if is_kept else None
    found = tool.probe(dict(call.runs_with), about(call, call.attempt))
    return again if found is None else Outcome(kind=records.SUCCEEDED, result=records.plain(found))


def _intend(hold: Hold, call: ToolCall, tool: Tool, parts: Parts, remembered: dict[str, Any] | None) -> Attempt:
    """Commit what is about to happen: the approval is used up, undoing is registered, the call is executing."""
    failpoint("before_intent")
    with hold.transaction() as run:
        failpoint("in_intent")
        if run.cancel_requested_at is not None or call.approval_id is None:
            raise StoppedError  # asked for while this was prepared: the next look at the run finds it
        granted = gate.consume(call.approval_id, parts.hashes[call.tool])
        if granted != call.runs_with:
            raise StaleError("The arguments are others than were looked at.")
        if remembered is not None:
            Compensation.objects.create(
                run=run, call=call, key=undo_key(call.key), arguments=granted, remembered=records.plain(remembered)
            )
        attempt = _begin(hold, call, tool)
        failpoint("before_intent_commit")
    failpoint("after_intent")
    return attempt


def _intend_again(hold: Hold, call: ToolCall, tool: Tool) -> Attempt:
    """Commit another attempt of a call that was approved, registered and begun before."""
    with hold.transaction():
        failpoint("in_second_intent")
        attempt = _begin(hold, call, tool)
    failpoint("after_second_intent")
    return attempt


def _begin(hold: Hold, call: ToolCall, tool: Tool) -> Attempt:
    within_s = tool.key_kept_s if tool.effect == Effect.IDEMPOTENT else MAY_BEGIN_WITHIN_S
    n = call.attempt + 1
    row = ToolAttempt.objects.create(call=call, n=n, fence=hold.fence, not_after=Now() + timedelta(seconds=within_s))
    row.refresh_from_db(fields=["started_at", "not_after"])
    call.status, call.attempt, call.started_at = CallStatus.EXECUTING, n, call.started_at or row.started_at
    call.save(update_fields=["status", "attempt", "started_at"])
    return Attempt(call=call, tool=tool, n=n, not_after=row.not_after)


def _make(hold: Hold, attempt: Attempt, lock: Lock | None) -> Pause | None:
    """Let the effect happen, and record what came of it."""
    if attempt.tool.effect == Effect.TRANSACTIONAL:
        return _record(hold, attempt.call, attempt)
    is_timely = is_in_time(lock, attempt.not_after)
    outcome = _execute(attempt) if is_timely else Outcome(kind=records.NOT_STARTED)
    failpoint("after_effect")
    return _record(hold, attempt.call, outcome)


def _execute(attempt: Attempt) -> Outcome:
    failpoint("before_effect")
    try:
        result = attempt.tool.execute(attempt.arguments, attempt.about)
    except ToolError as error:
        kind = records.UNKNOWN if _may_have_happened_before(attempt) else records.FAILED
        return Outcome(kind=kind, result=tool_error(str(error)))
    except OutcomeUnknownError as error:
        return Outcome(kind=records.UNKNOWN, result=tool_error(str(error)))
    except Exception as error:
        log.exception("tool_failed", tool=attempt.tool.name, error=describe(error))
        return Outcome(kind=records.UNKNOWN, result=tool_error(describe(error)))
    return Outcome(kind=records.SUCCEEDED, result=records.plain(result))


def _may_have_happened_before(attempt: Attempt) -> bool:
    """Say whether a refusal leaves open what an attempt before did: this one may not even have been sent."""
    if attempt.tool.effect != Effect.IDEMPOTENT:
        return False
    return attempt.call.attempts.filter(n__lt=attempt.n).exclude(outcome=records.NOT_STARTED).exists()


def _execute_inside(attempt: Attempt) -> Outcome:
    """Make a TRANSACTIONAL call within the transaction that records it; one that fails leaves nothing."""
    try:
        with transaction.atomic():
            outcome = Outcome(
                kind=records.SUCCEEDED, result=records.plain(attempt.tool.execute(attempt.arguments, attempt.about))
            )
    except (ToolError, OutcomeUnknownError) as error:
        return Outcome(kind=records.FAILED, result=tool_error(str(error)))
    except Exception as error:
        log.exception("tool_failed", tool=attempt.tool.name, error=describe(error))
        return Outcome(kind=records.FAILED, result=tool_error("The tool failed; nothing was changed."))
    return outcome


def _record(hold: Hold, call: ToolCall, made: Outcome | Attempt) -> Pause | None:
    """Commit what came of an attempt; whoever may not, any more, leaves it for whoever may."""
    try:
        with hold.transaction() as run:
            failpoint("in_record")
            outcome = _execute_inside(made) if isinstance(made, Attempt) else made
            records.write(run, call, outcome)
            failpoint("before_record_commit")
    except FencedOutError:
        _leave_behind(call, made)
        raise
    except Error as error:
        log.warning("outcome_not_recorded", call=call.key, error=type(error).__name__)
        _leave_behind(call, made)
        raise
    failpoint("after_record")
    if outcome.kind == records.UNKNOWN:
        return Pause(timedelta(seconds=BACKOFF_S[min(call.attempt, len(BACKOFF_S)) - 1]))
    return None


def _leave_behind(call: ToolCall, made: Outcome | Attempt) -> None:
    """Keep what is known of an attempt where the next process looks first; changes no status."""
    if isinstance(made, Attempt):
        return  # its effect was undone with the transaction
    end = time.monotonic() + KEEP_LATE_FOR_S
    while True:
        try:
            records.keep_late(call, made)
        except Error as error:
            log.warning("late_result_not_kept", call=call.key, error=type(error).__name__)
            if time.monotonic() > end:
                return
            connection.close()
            time.sleep(0.5)
        else:
            return
