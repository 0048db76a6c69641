"""What people do with an alert: acknowledge it, resolve it with a verdict, silence it for a while."""

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.http import HttpRequest

from agentops.accounts.models import User
from agentops.audit import services as audit
from agentops.audit.ref import HasRef
from agentops.web import numbers
from traces.alerts.models import Alert, AlertState, Verdict
from traces.alerts.telling import announce

LONGEST_SILENCE = timedelta(days=30)


class AlreadyDoneError(Exception):
    """Somebody was quicker; the text says who and when."""


@transaction.atomic
def acknowledge(alert: Alert, *, by: User, request: HttpRequest | None = None) -> Alert:
    """Take an open alert on; one conditional UPDATE decides who has it. Raises AlreadyDoneError.

    Acknowledging again what one has already changes nothing.
    """
    changed = (
        Alert.objects.filter(pk=alert.pk)
        .open()
        .update(state=AlertState.ACKNOWLEDGED, acknowledged_at=Now(), acknowledged_by=by)
    )
    alert.refresh_from_db()
    if changed:
        _done(alert, "alert.acknowledged", by, request)
    elif alert.state != AlertState.ACKNOWLEDGED or alert.acknowledged_by_id != by.pk:
        raise AlreadyDoneError(_who_was_quicker(alert))
    return alert


@transaction.atomic
def resolve(alert: Alert, *, by: User, verdict: str, note: str = "", request: HttpRequest | None = None) -> Alert:
    """Close an alert, open or acknowledged, and say whether it was true. Raises AlreadyDoneError."""
    changed = (
        Alert.objects.filter(pk=alert.pk)
        .unresolved()
        .update(state=AlertState.RESOLVED, resolved_at=Now(), resolved_by=by, verdict=Verdict(verdict), note=note)
    )
    alert.refresh_from_db()
    if not changed:
        raise AlreadyDoneError(_who_was_quicker(alert))
    _done(alert, "alert.resolved", by, request, {"verdict": verdict, "note": note})
    return alert


@transaction.atomic
def silence(alert: Alert, *, by: User, lasting: timedelta, reason: str, request: HttpRequest | None = None) -> Alert:
    """Send nothing about this fingerprint for a while, a month at most. What fails meanwhile is told at its end."""
    if not reason.strip() or not timedelta() < lasting <= LONGEST_SILENCE:
        raise ValueError("A silence has a reason and ends within a month.")
    Alert.objects.filter(pk=alert.pk).update(
        silenced_until=Now() + lasting, silenced_by=by, silence_reason=reason.strip()
    )
    alert.refresh_from_db()
    detail = {"reason": reason.strip(), "lasting_s": lasting.total_seconds()}
    _done(alert, "alert.silenced", by, request, detail)
    return alert


@transaction.atomic
def end_silence(alert: Alert, *, by: User, request: HttpRequest | None = None) -> Alert:
    """Let it be heard again from now on; the clock tells what was held back."""
    if Alert.objects.filter(pk=alert.pk).silenced().update(silenced_until=Now()):
        alert.refresh_from_db()
        _done(alert, "alert.silence_ended", by, request)
    return alert


def _done(
    alert: Alert, action: str, by: User, request: HttpRequest | None, detail: dict[str, Any] | None = None
) -> None:
    announce(alert.project_id)
    actor: HasRef = getattr(request, "api_key", None) or by
    audit.record(action, actor=actor, project=alert.project_id, target=alert, detail=detail, request=request)


def _who_was_quicker(alert: Alert) -> str:
    is_resolved = alert.state == AlertState.RESOLVED
    who = alert.resolved_by if is_resolved else alert.acknowledged_by
    at = alert.resolved_at if is_resolved else alert.acknowledged_at
    done = "resolved" if is_resolved else "acknowledged"
    name = str(who) if who is not None else "AgentOps"
    return f"{name} {done} this alert at {numbers.utc_time(at, alert.alerted_at)} UTC." if at else f"{name} {done} it."
