"""What people do with an alert: acknowledge it, resolve it with a verdict, silence it for a while."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now
from django.http import HttpRequest

from agentops.accounts.models import Project, User
from agentops.audit import services as audit
from agentops.audit.ref import HasRef
from agentops.web import numbers
from traces.alerts import life, precision
from traces.alerts.models import Alert, AlertState, Verdict
from traces.alerts.silences import Silence
from traces.alerts.telling import tell_followers
from traces.alerts.told import announce

LONGEST_SILENCE = timedelta(days=30)
LONGEST_HOLD, USUAL_HOLD = timedelta(days=7), timedelta(hours=4)


class AlreadyDoneError(Exception):
    """Somebody was quicker; the text says who and when."""


@transaction.atomic
def acknowledge(
    alert: Alert, *, by: User, lasting: timedelta | None = None, request: HttpRequest | None = None
) -> Alert:
    """Take an open alert on for a while, four hours unless said otherwise; then it is open again and told again.

    Raises AlreadyDoneError where somebody else has it. Whoever has it already keeps it for `lasting` from now on;
    without that nothing changes. Raises ValueError for more than a week.
    """
    if lasting is not None and not timedelta() < lasting <= LONGEST_HOLD:
        raise ValueError("An alert is acknowledged for a week at most.")
    holds = lasting or USUAL_HOLD
    detail = {"lasting_s": holds.total_seconds()}
    if life.take(alert, by=by, lasting=holds):
        tell_followers(alert, "acknowledged", alert.acknowledged_at)
        _done(alert, "alert.acknowledged", by, request, detail)
    elif alert.state != AlertState.ACKNOWLEDGED or alert.acknowledged_by_id != by.pk:
        raise AlreadyDoneError(_who_was_quicker(alert))
    elif lasting is not None and life.prolong(alert, by=by, lasting=holds):
        _done(alert, "alert.acknowledgement_prolonged", by, request, detail)
    return alert


@transaction.atomic
def resolve(alert: Alert, *, by: User, verdict: str, note: str = "", request: HttpRequest | None = None) -> Alert:
    """Close an alert, open or acknowledged, and say whether it was true. Raises AlreadyDoneError.

    The verdict counts for the precision of the detectors that had found it.
    """
    if not life.resolve(alert, verdict=Verdict(verdict), by=by, note=note):
        raise AlreadyDoneError(_who_was_quicker(alert))
    tell_followers(alert, "resolved", alert.resolved_at)
    precision.note_verdict(alert, Verdict(verdict))
    _done(alert, "alert.resolved", by, request, {"verdict": verdict, "note": note})
    return alert


@transaction.atomic
def silence(alert: Alert, *, by: User, lasting: timedelta, reason: str, request: HttpRequest | None = None) -> Silence:
    """Send nothing about this fingerprint for a while, a month at most. What is open at the end is told then."""
    made = Silence.objects.create(alert=alert, **_silenced(alert.project_id, by, lasting, reason))
    detail = {"reason": made.reason, "lasting_s": lasting.total_seconds()}
    _done(alert, "alert.silenced", by, request, detail)
    return made


@transaction.atomic
def end_silence(alert: Alert, *, by: User, request: HttpRequest | None = None) -> Alert:
    """Let it be heard again from now on; the clock tells what was held back. Wider silences that cover it go on."""
    if Silence.objects.active().filter(alert=alert).update(until=Now(), ended_by=by):
        _done(alert, "alert.silence_ended", by, request)
    return alert


@transaction.atomic
def silence_all(
    project: Project,
    *,
    by: User,
    about: Mapping[str, str],
    lasting: timedelta,
    reason: str,
    request: HttpRequest | None = None,
) -> Silence:
    """Send nothing for a while about a `pattern`, an `agent` and a `tool_name`, the last two globs of `*`.

    Raises ValueError for a silence about nothing in particular, without a reason, or longer than a month.
    """
    if not any(about.values()):
        raise ValueError("A silence is about something.")
    made = Silence.objects.create(**about, **_silenced(project.pk, by, lasting, reason))
    announce(project.pk)
    detail = {"reason": made.reason, "lasting_s": lasting.total_seconds(), **about}
    audit.record(
        "silence.added", actor=_actor(by, request), project=project, target=made, detail=detail, request=request
    )
    return made


@transaction.atomic
def end(silence: Silence, *, by: User, request: HttpRequest | None = None) -> bool:
    """End a silence early; the clock tells what is still open. Return whether it was still to be ended."""
    if not Silence.objects.active().filter(pk=silence.pk).update(until=Now(), ended_by=by):
        return False
    announce(silence.project_id)
    actor = _actor(by, request)
    audit.record("silence.ended", actor=actor, project=silence.project_id, target=silence, request=request)
    return True


def _silenced(project_id: UUID, by: User, lasting: timedelta, reason: str) -> dict[str, Any]:
    if not reason.strip() or not timedelta() < lasting <= LONGEST_SILENCE:
        raise ValueError("A silence has a reason and ends within a month.")
    return {"project_id": project_id, "until": Now() + lasting, "by": by, "reason": reason.strip()}


def _actor(by: User, request: HttpRequest | None) -> HasRef:
    return getattr(request, "api_key", None) or by


def _done(
    alert: Alert, action: str, by: User, request: HttpRequest | None, detail: dict[str, Any] | None = None
) -> None:
    announce(alert.project_id)
    actor = _actor(by, request)
    audit.record(action, actor=actor, project=alert.project_id, target=alert, detail=detail, request=request)


def _who_was_quicker(alert: Alert) -> str:
    is_resolved = alert.state == AlertState.RESOLVED
    who = alert.resolved_by if is_resolved else alert.acknowledged_by
    at = alert.resolved_at if is_resolved else alert.acknowledged_at
    done = "resolved" if is_resolved else "acknowledged"
    name = str(who) if who is not None else "AgentOps"
    return f"{name} {done} this alert at {numbers.utc_time(at, alert.alerted_at)} UTC." if at else f"{name} {done} it."
