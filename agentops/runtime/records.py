"""What is written of a call once something is known: its status, its result, its attempt, its step, its approval."""

from datetime import datetime
from typing import Any

import msgspec
from django.db.models.functions import Now

from agentops.runtime import endings, gate, story
from agentops.runtime.fence import Hold
from agentops.runtime.models import LateResult, Run, RunJob, ToolAttempt, ToolCall
from agentops.runtime.states import CallStatus, RunStatus, UndoStatus
from traces.ingest.clean import clean

SUCCEEDED = "succeeded"
FAILED = "failed"
UNKNOWN = "unknown"
NOT_STARTED = "not_started"
LONGEST_RESULT = 256_000  # characters of JSON that are kept of a result


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one attempt: it succeeded, failed, was not started, or nobody can say."""

    kind: str
    result: Any = None


def plain(value: Any) -> Any:
    """Return what a tool gave as JSON that Postgres takes; what is far too long is cut, and says so."""
    text = msgspec.json.encode(value, enc_hook=str)
    if len(text) > LONGEST_RESULT:
        start = text[:LONGEST_RESULT].decode(errors="replace")
        return clean({"status": "cut", "characters": len(text), "start": start})
    return clean(msgspec.json.decode(text))


def write(run: Run, call: ToolCall, outcome: Outcome) -> None:
    """Record the outcome of the call's last attempt. The caller holds the run's row."""
    tries = ToolAttempt.objects.filter(call=call, n=call.attempt)
    tries.update(finished_at=Now(), outcome=outcome.kind)
    if outcome.kind not in (SUCCEEDED, FAILED):
        return  # the call stays where it is: the next look at it decides
    if run.status == RunStatus.NEEDS_PERSON:
        endings.change(run, RunStatus.RUNNING, reason="")
        story.ended(run, "running")
    began, at = tries.values_list("started_at", "finished_at").get()
    call.result = {"status": "ok"} if outcome.result is None else outcome.result
    _settle(run, call, CallStatus(outcome.kind), began, at or began)
    if outcome.kind == FAILED:
        run.compensations.filter(call=call).update(status=UndoStatus.NOT_NEEDED, ended_at=Now())
    if call.approval_id:
        detail = "" if outcome.kind == SUCCEEDED else story.reason_of(call)
        gate.report(call.approval_id, outcome.kind, detail)


def unknown(hold: Hold, call: ToolCall) -> None:
    """Say that nobody knows what became of a call, and leave the run to a person: it is never made again."""
    reason = f"Nobody can say whether {call.tool} took effect."
    with hold.transaction() as run:
        began, at = endings.now(run), endings.now(run)
        _settle(run, call, CallStatus.UNKNOWN, call.started_at or began, at)
        if call.approval_id:
            gate.report(call.approval_id, UNKNOWN, reason)
        endings.set_aside(run, reason, what="unknown")


def adopt(run: Run, late: LateResult) -> None:
    """Take over what became known of a call after it was called unknown, and let the run go on."""
    result = late.result if late.outcome != NOT_STARTED else {"status": "error", "reason": "It was not begun in time."}
    kind = FAILED if late.outcome == NOT_STARTED else late.outcome
    late.call.run = run
    if kind == UNKNOWN:
        late.delete()
    else:
        write(run, late.call, Outcome(kind=kind, result=result))


def deny(hold: Hold, call: ToolCall, result: dict[str, Any]) -> None:
    """Refuse a call that was let through before, with a result for the model."""
    with hold.transaction() as run:
        at = endings.now(run)
        call.result = result
        _settle(run, call, CallStatus.DENIED, at, at)


def supersede(hold: Hold, call: ToolCall) -> None:
    """Give up a stale approval; the call is asked for again, as it would run now."""
    with hold.transaction():
        call.status = CallStatus.PROPOSED
        call.save(update_fields=["status"])
        if call.approval_id:
            gate.supersede(call.approval_id)


def keep_late(call: ToolCall, outcome: Outcome) -> None:
    """Leave what a process knows that may not record it, and let whoever may look at the run."""
    late = LateResult(call=call, n=call.attempt, outcome=outcome.kind, result=outcome.result)
    LateResult.objects.bulk_create([late], ignore_conflicts=True)
    RunJob.objects.touch([RunJob(run_id=call.run_id)])


def _settle(run: Run, call: ToolCall, status: CallStatus, began: datetime, at: datetime) -> None:
    call.status, call.ended_at = status, at
    story.called(run, call, at=began, ended_at=at)
    call.save(update_fields=["status", "result", "ended_at", "step_number"])
