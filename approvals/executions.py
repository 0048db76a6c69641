"""From an approval to its effect: whoever executes takes it once, by exactly the digest that was approved."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import structlog
from django.db import transaction
from django.db.models.functions import Now

from agentops.notify.message import Message
from agentops.notify.services import notify
from approvals import policies
from approvals.decisions import end, how_it_ended
from approvals.digest import digest_of
from approvals.models import Action, ActionStatus, Approval, Status
from approvals.news import announce, database_now
from traces.containment.queries import is_stopped

log = structlog.get_logger(__name__)

OUTCOMES = (ActionStatus.SUCCEEDED, ActionStatus.FAILED)
CLAIM_WINDOW = timedelta(minutes=10)
RESULT_WITHIN_S = 600
AT_ONCE = 100


class NotApprovedError(Exception):
    """It may not run: it is not approved, or not any more. `approval` says what it is."""

    def __init__(self, approval: Approval) -> None:
        super().__init__("It is not decided yet." if approval.status == Status.PENDING else how_it_ended(approval))
        self.approval = approval


class StoppedError(NotApprovedError):
    """Its run was stopped: it may do nothing more."""


class StaleError(Exception):
    """It was approved, and something has changed since: it has to be asked for again."""


class ClaimedError(Exception):
    """Somebody claimed it before; `claimed_at` says when."""

    def __init__(self, action: Action) -> None:
        super().__init__(f"It was claimed at {action.claimed_at:%Y-%m-%d %H:%M:%S} UTC.")
        self.claimed_at = action.claimed_at


class OutcomeError(Exception):
    """There is no outcome to report, or another was reported before."""


class Granted(msgspec.Struct, frozen=True, kw_only=True):
    """What may run now: the arguments as they were approved."""

    arguments: dict[str, Any]
    digest: str


def consume(approval_id: UUID, *, definition_hash: str) -> Granted:
    """Let the built-in agent execute, in the caller's transaction, which holds the row until it ends.

    A repetition after a crash is granted again; that nothing happens twice is then the business of its effect class.
    Raises NotApprovedError; StoppedError; or StaleError, after which the caller rolls back and calls supersede().
    """
    approval = _locked(approval_id)
    action = approval.action
    if action.status == ActionStatus.EXECUTING:
        return _granted(approval)
    _require_usable(approval, definition_hash)
    _take(approval, ActionStatus.EXECUTING)
    return _granted(approval)


@transaction.atomic
def claim(approval: Approval, *, key: str) -> Granted:
    """Let an agent elsewhere execute, once; the same key within ten minutes gets the same answer.

    Raises ClaimedError or NotApprovedError; StoppedError, after which the caller calls deny_stopped(); StaleError,
    after which they call supersede().
    """
    return _claim(_locked(approval.pk), key)


def _claim(approval: Approval, key: str) -> Granted:
    action = approval.action
    if action.claimed_at is not None:
        if action.claim_key != key or action.claimed_at <= database_now() - CLAIM_WINDOW:
            raise ClaimedError(action)
        return _granted(approval)
    _require_usable(approval, action.definition_hash)
    within_s = approval.policy.result_within_s if approval.policy else RESULT_WITHIN_S
    _take(
        approval,
        ActionStatus.CLAIMED,
        claim_key=key,
        claimed_at=Now(),
        result_due_at=Now() + timedelta(seconds=within_s),
    )
    return _granted(approval)


def _locked(approval_id: UUID) -> Approval:
    return Approval.objects.whole().select_for_update(of=("self", "action")).get(pk=approval_id)


def _require_usable(approval: Approval, definition_hash: str) -> None:
    if approval.status != Status.APPROVED or approval.used_at is not None:
        raise NotApprovedError(approval)
    action = approval.action
    if action.trace_id and is_stopped(action.project_id, action.trace_id, lock=True):
        raise StoppedError(approval)
    if Approval.objects.overdue().filter(pk=approval.pk).exists():
        raise StaleError("It was approved, and not used in time.")
    if digest_of(action, approval) != approval.digest:
        raise StaleError("What is stored is not what was approved.")
    if action.definition_hash != definition_hash:
        raise StaleError("The tool has changed since.")
    policy = policies.match(approval.project_id, action.tool_name)
    now = (policy.pk, policy.version) if policy else (None, 0)
    if now != (approval.policy_id, approval.policy_version):
        raise StaleError("The policy has changed since.")


@transaction.atomic
def supersede(approval_id: UUID) -> bool:
    """End an approval that nobody may use any more, and tell people where the database was written to by others."""
    approval = _locked(approval_id)
    if digest_of(approval.action, approval) != approval.digest:
        _warn_of_change(approval)
    return end(approval, Status.SUPERSEDED)


def _take(approval: Approval, status: ActionStatus, **fields: Any) -> None:
    Approval.objects.filter(pk=approval.pk).update(used_at=Now())
    Action.objects.filter(pk=approval.action_id).update(status=status, **fields)
    announce(approval)


def _granted(approval: Approval) -> Granted:
    return Granted(arguments=approval.action.parsed_arguments, digest=approval.digest)


def _warn_of_change(approval: Approval) -> None:
    """Tell people that somebody wrote to the database behind our back."""
    log.error("approved_action_changed", approval=str(approval.pk))
    message = Message(
        kind="approval.tampered",
        id=f"approval:{approval.pk}",
        title=f"An approved action was changed afterwards: {approval.action.title}",
        body="It did not run. What is stored differs from what was approved: somebody wrote to the database.",
        severity="critical",
        url=approval.get_absolute_url(),
    )
    notify(approval.project_id, message, key=f"approval:{approval.pk}:tampered")


@transaction.atomic
def report(approval_id: UUID, *, outcome: str, detail: str = "") -> Action:
    """Record what became of an action: succeeded, failed or unknown. Saying the same again changes nothing.

    What was unknown may still turn out well or badly. Raises OutcomeError.
    """
    status = ActionStatus(outcome)
    approval = _locked(approval_id)
    action = approval.action
    if action.status == status:
        return action
    if action.status not in (ActionStatus.CLAIMED, ActionStatus.EXECUTING, ActionStatus.UNKNOWN):
        known = "has not begun" if action.status == ActionStatus.PROPOSED else f"was reported as {action.status}"
        raise OutcomeError(f"This action {known}.")
    finished_at = None if status == ActionStatus.UNKNOWN else Now()
    Action.objects.filter(pk=action.pk).update(status=status, detail=detail, finished_at=finished_at)
    action.refresh_from_db()
    announce(approval)
    return action


@transaction.atomic
def cancel(approval: Approval, *, comment: str = "") -> bool:
    """Take a proposal back; False when it is decided otherwise, or already used."""
    return end(approval, Status.CANCELLED, comment=comment)


def cancel_of_run(run_id: UUID) -> list[Approval]:
    """Take back what a run still waits for, in the caller's transaction, who ends it with note_end() of each."""
    waiting = Approval.objects.unused().whole().filter(action__run_id=run_id).order_by("id")
    why = "The run was cancelled."
    return [each for each in waiting if end(each, Status.CANCELLED, comment=why, is_last=False)]


def note_missing_results() -> None:
    """Call unknown what was claimed and never reported, and tell a person: it may have happened."""
    late = Approval.objects.whole().filter(
        action__status=ActionStatus.CLAIMED, action__result_due_at__lte=Now(), action__result_due_at__isnull=False
    )
    for approval in late[:AT_ONCE]:
        with transaction.atomic():
            rows = Action.objects.filter(pk=approval.action_id, status=ActionStatus.CLAIMED)
            if rows.update(status=ActionStatus.UNKNOWN):
                _tell_of_silence(approval)
                announce(approval)


def _tell_of_silence(approval: Approval) -> None:
    message = Message(
        kind="approval.unknown",
        id=f"approval:{approval.pk}",
        title=f"Nobody knows what became of: {approval.action.title}",
        body=f"{approval.action.agent or 'The agent'} claimed it and never reported. Find out whether it happened.",
        severity="high",
        url=approval.get_absolute_url(),
    )
    notify(approval.project_id, message, key=f"approval:{approval.pk}:unknown")
