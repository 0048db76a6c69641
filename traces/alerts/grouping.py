"""Findings of one fingerprint share an alert: the first opens it and is told at once, the others are counted on it."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from agentops.audit import services as audit
from agentops.audit.ref import SYSTEM
from agentops.notify.queries import deliveries
from traces.alerts import life
from traces.alerts.crowd import link, take_waiting
from traces.alerts.digest import is_quiet
from traces.alerts.models import Alert, AlertFinding, AlertState, Fate, Verdict, highest, is_graver
from traces.alerts.precision import DEMOTED_TO, demoted
from traces.alerts.telling import FLAP_MINUTES, FLAPS, News, tell
from traces.alerts.told import announce, note_told
from traces.detectors.base import ALONE
from traces.detectors.models import Finding, FindingState
from traces.drills.models import Drill

TOLD_WHEN_REACHED = {"high": News.HIGH, "critical": News.CRITICAL}


@dataclass(frozen=True, kw_only=True)
class Cause:
    """Something that failed, as an alert needs to know it."""

    pattern: str
    severity: str
    sentence: str
    onset_at: datetime
    received_at: datetime
    detected_at: datetime
    agent: str = ""
    tool_name: str = ""
    next_step: str = ""
    trace_id: UUID | None = None
    thing: str = ""  # the one run, channel or part of the system that it is about, where each has an alert of its own
    drill_id: UUID | None = None

    @property
    def fingerprint(self) -> str:
        parts = f"{self.pattern}\x00{self.agent}\x00{self.tool_name}"
        parts += f"\x00{self.thing}" if self.thing else ""
        return blake2b(parts.encode(), digest_size=16).hexdigest()

    @property
    def title(self) -> str:
        sentence = self.sentence.rstrip(".")
        return f"{self.agent}: {sentence}" if self.agent else sentence


def cause_of(finding: Finding, drill_id: UUID | None = None, demoted: Collection[str] = ()) -> Cause:
    """Return what an alert needs of a finding; those of demoted detectors can wait, but for a drill's."""
    return Cause(
        pattern=finding.pattern,
        severity=DEMOTED_TO if finding.detector in demoted and drill_id is None else finding.severity,
        sentence=finding.explanation,
        onset_at=finding.onset_at,
        received_at=finding.received_at,
        detected_at=finding.detected_at,
        agent=finding.trace.agent,
        tool_name=finding.tool_name,
        next_step=finding.next_step,
        trace_id=finding.trace_id,
        # A drill never hides in a real alert, nor a failure in a drill's.
        thing=f"drill {drill_id}" if drill_id else "",
        drill_id=drill_id,
    )


def fate_of(finding: Finding) -> Fate:
    """Return what becomes of a finding that no alert has counted."""
    if finding.state == FindingState.RETRACTED:
        return Fate.RETRACTED
    if finding.backfill:
        return Fate.BACKFILL
    return Fate.ALONE if finding.kind in ALONE else Fate.ALERT


@transaction.atomic(savepoint=False)
def bring(finding: Finding) -> None:
    """Bring a finding under its alert, or follow what became of it since. Safe to run twice; costs about ten queries.

    The alert's row is locked first, always: the findings of one fingerprint come one after the other. Those that wait
    behind this one are counted with it.
    """
    known = AlertFinding.objects.filter(finding=finding).first()
    if known is not None and known.alert_id is not None:
        _follow(finding, known)
        return
    fate = fate_of(finding)
    if fate is Fate.ALERT:
        count(finding)
    else:
        link([finding], AlertFinding(fate=fate))


@transaction.atomic(savepoint=False)
def count(finding: Finding) -> None:
    """Count a finding, and those that wait behind it, on the alert of its fingerprint."""
    drill = Drill.objects.of(finding.project_id).filter(trace_id=finding.trace.trace_id).first()
    demoted_now = demoted(finding.project_id)
    alert = locked(finding.project_id, cause_of(finding, drill.pk if drill else None, demoted_now))
    if _is_counted(finding, alert):
        return
    crowd = [finding] if drill else [finding, *take_waiting(finding)]
    raise_on(alert, [cause_of(each, alert.drill_id, demoted_now) for each in crowd])
    link(crowd, AlertFinding(fate=Fate.ALERT, alert=alert, occurrence=alert.number))


def raise_on(alert: Alert, causes: list[Cause], *, told_by: str = "") -> None:
    """Count causes of one fingerprint: the alert is opened, opened again, or goes on; told where that is news.

    `told_by` is the key of a message that has told of it already.
    """
    if alert.state == AlertState.RESOLVED:
        life.reopen(alert, _first(causes[0]))
    opens, before = alert.findings == 0, alert.severity
    alert.findings += len(causes)
    for cause in causes:
        alert.severity = highest(alert.severity, cause.severity)
    _say(alert, causes[-1])
    if told_by:
        note_told([alert], told_by, is_delivered=not deliveries(alert.project_id, [told_by]))
    elif opens:
        tell(alert, News.FLAPPING if _begins_to_flap(alert) else News.OPENED)
    else:
        _tell_if_worse(alert, before)
    announce(alert.project_id)


def _is_counted(finding: Finding, alert: Alert) -> bool:
    """Say whether a neighbour who took up the same finding was quicker; the alert is locked, so this stays true."""
    mine = AlertFinding.objects.filter(finding=finding, alert=alert, occurrence=alert.number)
    return mine.filter(is_retracted=False).exists()


def locked(project_id: UUID, cause: Cause) -> Alert:
    """Return the alert of a fingerprint, locked until the transaction ends; a new one counts no finding yet."""
    rows = Alert.objects.of(project_id).select_for_update().filter(fingerprint=cause.fingerprint)
    alert = rows.first()
    if alert is not None:
        return alert
    about = {"pattern": cause.pattern, "agent": cause.agent, "tool_name": cause.tool_name, "drill_id": cause.drill_id}
    new = Alert(project_id=project_id, fingerprint=cause.fingerprint, **about, **_first(cause), **_newest(cause))
    # Waits for a neighbour that is inserting the same one, and then leaves it alone.
    Alert.objects.bulk_create([new], ignore_conflicts=True)
    return rows.get()


def _first(cause: Cause) -> dict[str, Any]:
    """Return what the first finding of an occurrence fixes."""
    times = {"onset_at": cause.onset_at, "received_at": cause.received_at, "detected_at": cause.detected_at}
    return {**times, "severity": cause.severity, "first_trace_id": cause.trace_id}


def _newest(cause: Cause) -> dict[str, Any]:
    """Return what the newest finding says."""
    said = {"title": cause.title, "explanation": cause.sentence, "next_step": cause.next_step}
    return {**said, "last_trace_id": cause.trace_id}


def _begins_to_flap(alert: Alert) -> bool:
    """Say whether it was resolved and failed again so often of late that people hear of it less from now on."""
    if alert.number <= FLAPS or alert.flapping_since is not None:
        return False
    lately = alert.past.filter(resolved_at__gt=Now() - timedelta(minutes=FLAP_MINUTES))
    if lately.count() < FLAPS:
        return False
    Alert.objects.filter(pk=alert.pk).update(flapping_since=Now())
    alert.refresh_from_db(fields=["flapping_since"])
    return True


def _say(alert: Alert, newest: Cause) -> None:
    """Save the counts, and what the newest of the causes says."""
    for name, value in _newest(newest).items():
        setattr(alert, name, value)
    alert.save(update_fields=[*_newest(newest), "severity", "findings", "retracted"])


def _tell_if_worse(alert: Alert, before: str) -> None:
    if not is_graver(alert.severity, than=before) or alert.state == AlertState.RESOLVED:
        return
    news = TOLD_WHEN_REACHED.get(alert.severity)
    if alert.waits_since is not None and not is_quiet(alert):
        tell(alert, News.OPENED)  # it can wait no longer
    elif news is not None:
        tell(alert, news)


def _follow(finding: Finding, known: AlertFinding) -> None:
    """Bring what a counted finding became since: it grew, was retracted, or came back."""
    alert = Alert.objects.select_for_update(of=("self",)).get(alertfinding=known)
    known.refresh_from_db()
    if known.occurrence != alert.number:
        return  # of an occurrence that is over
    if finding.state == FindingState.RETRACTED:
        _retract(alert, known)
    elif alert.state == AlertState.RESOLVED:
        if alert.verdict == Verdict.RETRACTED and known.is_retracted:
            count(finding)
        return  # a failure that goes on after a person resolved it is no new one
    else:
        _go_on(alert, finding, known)
    announce(finding.project_id)


def _go_on(alert: Alert, finding: Finding, known: AlertFinding) -> None:
    before = alert.severity
    if known.is_retracted:
        AlertFinding.objects.filter(pk=known.pk).update(is_retracted=False)
        alert.retracted -= 1
    cause = cause_of(finding, alert.drill_id, demoted(finding.project_id))
    alert.severity = highest(alert.severity, cause.severity)
    _say(alert, cause)
    _tell_if_worse(alert, before)


def _retract(alert: Alert, known: AlertFinding) -> None:
    """Take a finding back; an alert with nothing else under it resolves itself and says so."""
    if not AlertFinding.objects.filter(pk=known.pk, is_retracted=False).update(is_retracted=True):
        return
    alert.retracted += 1
    alert.save(update_fields=["retracted"])
    if alert.state == AlertState.RESOLVED or alert.retracted < alert.findings:
        return
    life.resolve(alert, verdict=Verdict.RETRACTED)
    if alert.told_at is not None and alert.flapping_since is None:
        tell(alert, News.RETRACTED)
    audit.record("alert.retracted", actor=SYSTEM, project=alert.project_id, target=alert)
