"""Where an approval leaves `pending`: a decision, its deadline or its withdrawal; and what follows from that."""

from datetime import timedelta
from typing import Any

import msgspec
from django.db import transaction
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils import timezone

from agentops.accounts.models import Membership
from agentops.audit import services as audit
from agentops.audit.ref import SYSTEM
from agentops.jobs.wake import wake
from agentops.notify.message import Message
from agentops.notify.services import notify
from agentops.web import numbers
from approvals import eligible, facts
from approvals.digest import ArgumentsError, canonical, check_readable, digest_of
from approvals.hidden import hidden_in
from approvals.models import Approval, CallbackJob, Mode, ResumeJob, Status
from approvals.news import announce, database_now
from approvals.schemas import check_schema
from approvals.signals import decided

STALE = "The action has changed since you looked at it. Look at it again."
DECISIONS = {"approve": Status.APPROVED, "reject": Status.REJECTED, "answer": Status.ANSWERED}


class AlreadyDecidedError(Exception):
    """The approval waits no longer; the message says who was quicker, and when."""


class StaleDigestError(Exception):
    """The digest is not that of the action as it is now: it has to be looked at again."""


class DecisionError(ValueError):
    """The decision cannot be understood; `pointer` says where, the message what would be right."""

    def __init__(self, pointer: str, detail: str) -> None:
        super().__init__(detail)
        self.pointer = pointer


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What a person sends: approve, reject or answer, and the digest of what they looked at."""

    decision: str
    digest: str
    comment: str = ""
    arguments: dict[str, Any] | None = None  # to approve with other arguments than were asked for
    is_edit: bool = False  # whoever sent them meant to change something
    typed: str = ""  # where something is hidden in the action: its target, typed as it is shown


@transaction.atomic
def decide(
    approval: Approval, given: Given, *, member: Membership | None, request: HttpRequest | None = None
) -> Approval:
    """Record a person's decision; one conditional UPDATE decides who wins.

    Approving other arguments than were asked for gives the action a new digest; with four eyes it then waits for
    somebody else. Raises NotAllowedError, AlreadyDecidedError, StaleDigestError or DecisionError, in this order.
    """
    by = eligible.check(approval, member)
    refuse_if_over(approval)
    if given.digest != approval.digest:
        raise StaleDigestError(STALE)
    status, edit = _status(given), None
    if status == Status.APPROVED and (text := _other_arguments(approval, given)):
        edit = _edit(approval, text, by)
        if approval.mode == Mode.FOUR_EYES:
            _record(approval, "edited", by, edit, request)
            return approval
    if status == Status.APPROVED:
        _check_typed(approval, given)
    changed = {"status": status, "decided_at": Now(), "decided_by": by.user, "comment": given.comment.strip()}
    if status == Status.APPROVED:
        changed["execute_by"] = database_now() + timedelta(seconds=approval.execute_within_s)
    _change(approval, changed)
    _follow(approval)
    if edit is not None:
        _record(approval, "edited", by, edit, request)  # here: the audit trail is locked from now on
    detail = {"digest": approval.digest, "comment": approval.comment, "tool": approval.action.tool_name}
    _record(approval, status.value, by, detail, request)
    return approval


def _status(given: Given) -> Status:
    status = DECISIONS.get(given.decision)
    if status is None:
        raise DecisionError("/decision", f"one of {', '.join(DECISIONS)}")
    if status == Status.ANSWERED and not given.comment.strip():
        raise DecisionError("/comment", "an answer says something")
    return status


def _other_arguments(approval: Approval, given: Given) -> str:
    """Return the arguments that a person wrote instead, canonical; empty: none, or the same. Raises DecisionError."""
    if given.arguments is None:
        return ""
    try:
        text = canonical(given.arguments)
        if text == approval.action.arguments and not given.is_edit:
            return ""
        if text == approval.action.arguments:
            raise DecisionError("/arguments", "nothing is changed in them")
        check_readable(given.arguments, text)
        check_schema(given.arguments, approval.action.schema)
    except ArgumentsError as error:
        raise DecisionError("/arguments", str(error)) from None
    return text


def _check_typed(approval: Approval, given: Given) -> None:
    """Ask for the target in letters where what is approved hides something. Raises DecisionError."""
    hidden = hidden_in(approval.action)
    if hidden and given.typed.split() != hidden.phrase.split():
        raise DecisionError("/typed", f"something is hidden in it: type it as {hidden.phrase}")


def refuse_if_over(approval: Approval) -> None:
    """Raise AlreadyDecidedError unless somebody may still decide. One query."""
    if Approval.objects.waiting().filter(pk=approval.pk).exists():
        return
    fresh = Approval.objects.whole().get(pk=approval.pk)
    if fresh.status == Status.PENDING:
        raise AlreadyDecidedError("It expired: nobody decided in time.")
    raise AlreadyDecidedError(how_it_ended(fresh))


def how_it_ended(approval: Approval) -> str:
    """Say in one sentence who ended the waiting, and when."""
    who = str(approval.decided_by) if approval.decided_by else "AgentOps"
    at = numbers.utc_time(approval.decided_at, timezone.now()) if approval.decided_at else ""
    ends = {
        Status.EXPIRED: f"It expired at {at} UTC.",
        Status.CANCELLED: f"It was cancelled at {at} UTC.",
        Status.DENIED: f"It was denied at {at} UTC: {approval.comment}.",
        Status.SUPERSEDED: f"At {at} UTC the policy or the tool had changed, so it has to be asked for again.",
    }
    return ends.get(Status(approval.status), f"{who} {approval.status} this at {at} UTC.")


def _change(approval: Approval, changed: dict[str, Any]) -> None:
    """Write to an approval that waits and is what it was when it was read. Raises what decide() raises."""
    if Approval.objects.waiting().filter(pk=approval.pk, digest=approval.digest).update(**changed):
        approval.refresh_from_db(fields=["digest", "status", "decided_at", "decided_by", "comment", "execute_by"])
        return
    refuse_if_over(approval)
    raise StaleDigestError(STALE)


def _edit(approval: Approval, text: str, by: Membership) -> dict[str, Any]:
    """Give the action other arguments and a new digest; whoever edited counts as who asked. Return what is audited."""
    action = approval.action
    if approval.mode == Mode.FOUR_EYES and not eligible.deciders(approval, edited_by=by.user_id):
        raise eligible.NotAllowedError("Whoever edits the arguments may not approve them, and nobody else here may.")
    before = action.arguments
    action.arguments, action.edited_by = text, by.user
    action.proposed_arguments = action.proposed_arguments or before
    action.preview = None  # it told of the arguments before
    _change(approval, {"digest": digest_of(action, approval)})
    action.save(update_fields=["arguments", "proposed_arguments", "edited_by", "preview"])
    announce(approval)
    return {"before": before, "after": text, "digest": approval.digest}


def _record(approval: Approval, what: str, by: Membership, detail: dict[str, Any], request: HttpRequest | None) -> None:
    audit.record(
        f"approval.{what}",
        actor=by.user,
        project=approval.project_id,
        target=approval,
        detail=detail,
        request=request,
    )


@transaction.atomic
def end(approval: Approval, status: Status, *, comment: str = "", is_last: bool = True) -> bool:
    """End an approval without a person: expired, cancelled, superseded, denied. False when somebody was quicker.

    Whoever has more to write in the same transaction says that this is not the last, and calls note_end() at its end:
    the audit trail stays locked from there on.
    """
    rows = Approval.objects.unused() if status != Status.EXPIRED else Approval.objects.overdue()
    changed = rows.filter(pk=approval.pk).update(
        status=status, decided_at=Now(), decided_by=None, comment=comment, execute_by=None
    )
    if not changed:
        return False
    approval.refresh_from_db(fields=["status", "decided_at", "decided_by", "comment", "execute_by"])
    _follow(approval)
    if is_last:
        note_end(approval)
    return True


def note_end(approval: Approval) -> None:
    """Write to the audit trail how an approval ended without a person."""
    audit.record(f"approval.{approval.status}", actor=SYSTEM, project=approval.project_id, target=approval)


def _follow(approval: Approval) -> None:
    """Let everybody know who waits: the trace, the run, the agent elsewhere, the open pages, the people told before."""
    facts.write(approval)
    announce(approval)
    notify(approval.project_id, _outcome(approval), key=f"approval:{approval.pk}:ended")
    if approval.action.run_id:
        ids = ResumeJob.objects.touch([ResumeJob(approval=approval)])
        transaction.on_commit(lambda: decided.send(ResumeJob, job_ids=ids), robust=True)
    if approval.callback_url:
        called = CallbackJob.objects.touch([CallbackJob(approval=approval)])
        transaction.on_commit(lambda: wake(CallbackJob.kind, called), robust=True)


def _outcome(approval: Approval) -> Message:
    return Message(
        kind=f"approval.{approval.status}",
        id=f"approval:{approval.pk}",
        title=f"{approval.get_status_display()}: {approval.action.title}",
        body=" ".join(filter(None, [how_it_ended(approval), approval.comment])),
        severity="low",
        url=approval.get_absolute_url(),
        phase="resolved",
    )
