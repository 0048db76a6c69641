"""How a run begins, waits, goes on and ends: each a change of its status in a transaction that holds it."""

from datetime import datetime
from typing import Any

from django.db.models.functions import Now

from agentops.audit import services as audit
from agentops.audit.ref import SYSTEM
from agentops.notify.message import Message
from agentops.notify.services import notify
from agentops.runtime import gate, story
from agentops.runtime.budget import exceeded
from agentops.runtime.fence import Hold
from agentops.runtime.models import Compensation, Run
from agentops.runtime.parts import Parts, Pause
from agentops.runtime.states import NOT_STARTED, CallStatus, RunStatus, UndoStatus
from traces.containment.queries import why_stopped
from traces.models import Trace


def change(run: Run, status: RunStatus, **fields: Any) -> None:
    """Bring a run into another status, and account for the time it waited. The caller holds its row."""
    if run.waiting_since is not None and status != RunStatus.WAITING_APPROVAL:
        fields = {"waited": run.waited + (now(run) - run.waiting_since), "waiting_since": None, **fields}
    Run.objects.filter(pk=run.pk).update(status=status, **fields)
    run.refresh_from_db(fields=["status", *fields])


def now(run: Run) -> datetime:
    """Return the moment, by the database's clock. One query."""
    return Run.objects.annotate(now=Now()).values_list("now", flat=True).get(pk=run.pk)


def begin(hold: Hold) -> None:
    with hold.transaction() as run:
        at = now(run)
        change(run, RunStatus.RUNNING, started_at=at)
        story.opened(run, at)


def resume(hold: Hold) -> None:
    """Go on with a run whose job was given up and released."""
    with hold.transaction() as run:
        change(run, RunStatus(run.resumes_as), resumes_as="", reason="")
        story.ended(run, "running")


def succeed(hold: Hold) -> Pause:
    with hold.transaction() as run:
        run.compensations.filter(status=UndoStatus.REGISTERED).update(status=UndoStatus.NOT_NEEDED, ended_at=Now())
        _end(run, RunStatus.SUCCEEDED)
    return Pause()


def close(hold: Hold, ends_as: RunStatus, reason: str) -> None:
    """Start nothing new; undo what can be undone, and then end as failed or cancelled."""
    with hold.transaction() as run:
        run.calls.filter(status__in=NOT_STARTED).update(status=CallStatus.CANCELLED, ended_at=Now())
        withdrawn = gate.cancel(run.pk)
        if ends_as == RunStatus.FAILED:
            story.failed(run, reason, at=now(run))
        if run.compensations.exclude(status__in=["not_needed", "done"]).exists():
            run.compensations.filter(status=UndoStatus.DEAD).update(status=UndoStatus.RETRY, attempts=0, next_at=Now())
            change(run, RunStatus.ROLLING_BACK, ends_as=ends_as, reason=reason, cancel_requested_at=None)
        else:
            finish(run, ends_as, reason, RunStatus.FAILED)
        gate.note_cancelled(withdrawn)  # last: whoever decides on one of them has its row, and wants the trail next


def finish(run: Run, ends_as: str, reason: str, failed: RunStatus) -> None:
    """End a run that is not to go on; `failed` is what a failed one is called. Never well with an unknown effect."""
    unknown = run.calls.filter(status=CallStatus.UNKNOWN).first()
    if unknown is not None:
        set_aside(run, f"Nobody can say whether {unknown.tool} took effect.", what="unknown")
    else:
        _end(run, failed if ends_as == RunStatus.FAILED else RunStatus.CANCELLED, reason)


def set_aside(run: Run, reason: str, *, what: str) -> None:
    """Stop a run until a person has looked; without an alert of its own (`what` is empty then) they are told here."""
    change(run, RunStatus.NEEDS_PERSON, reason=reason, cancel_requested_at=None)
    story.failed(run, reason, at=now(run))
    story.ended(run, "error")
    if what:
        message = Message(
            kind="run.needs_person",
            id=f"run:{run.pk}",
            title=f"A run of {run.agent} needs a person: {reason}",
            body="Find out what happened, and put it right by hand. The run does nothing until then.",
            severity="high",
            url=run.get_absolute_url(),
        )
        notify(run.project_id, message, key=f"run:{run.pk}:{what}:{run.steps}")
    audit.record("run.needs_person", actor=SYSTEM, project=run.project_id, target=run, detail={"reason": reason})


def manual_steps(parts: Parts, compensation: Compensation) -> str:
    """Say what a person has to do where an effect could not be undone."""
    tool = parts.tools.get(compensation.call.tool)
    if tool is None:
        return f"The tool {compensation.call.tool} is gone. Undo it by hand: {compensation.arguments}"
    return tool.manual_steps(compensation.arguments, compensation.remembered)


def stop_of(run: Run) -> tuple[RunStatus, str] | None:
    """Say how a run has to end, and why, before it has done its work; None while it may go on. Two queries."""
    if run.cancel_requested_at is not None:
        return RunStatus.CANCELLED, run.cancel_reason or "Cancelled."
    if Trace.objects.of(run.project_id).filter(trace_id=run.trace_id, stopped_at__isnull=False).exists():
        return RunStatus.CANCELLED, stopped_because(run)
    used_up = exceeded(run.budget, run.spent(worked_s(run, now(run))))
    return (RunStatus.FAILED, used_up) if used_up else None


def stopped_because(run: Run) -> str:
    """Say why a run ends whose trace was stopped. One query."""
    return f"Stopped: {why_stopped(run.project_id, run.trace_id)}."


def worked_s(run: Run, at: datetime) -> float:
    """For how long a run has worked; waiting for people is not work."""
    if run.started_at is None:
        return 0.0
    until = run.waiting_since or at
    return (until - run.started_at - run.waited).total_seconds()


def _end(run: Run, status: RunStatus, reason: str = "") -> None:
    change(run, status, reason=reason, ended_at=Now())
    story.ended(run, "ok" if status == RunStatus.SUCCEEDED else "error")
    detail = {"status": str(status), "reason": reason}
    audit.record("run.ended", actor=SYSTEM, project=run.project_id, target=run, detail=detail)
