"""Alerts of the system about itself: work set aside, channels that fail, workers gone silent, a trail that was changed.

What is read from rows needs no announcement. What works again resolves its alert by itself.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Max, Min
from django.utils import timezone

from agentops.accounts.models import Project
from agentops.audit import services as audit
from agentops.audit.chain import INSTALLATION
from agentops.audit.ref import SYSTEM
from agentops.audit.verify import ChainReport
from agentops.jobs.models import Job, Process
from agentops.notify.models import Channel, DeliverJob
from traces.alerts import life
from traces.alerts.grouping import Cause, locked, raise_on
from traces.alerts.models import Alert, AlertState, Verdict
from traces.alerts.telling import News, tell, tell_followers
from traces.alerts.told import announce
from traces.models import Trace

WORKER, SWEEPER = "worker", "sweeper"
SILENT_AFTER = timedelta(seconds=45)  # three times as long as a worker is taken for living

NEXT = "Read why in the log and mend it. The job stays as it is until somebody releases it; nothing else waits for it."


def notice_quarantined() -> None:
    """Raise an alert for jobs that failed for good and are not on one yet. One query for each kind of job."""
    for kind, model in Job.kinds().items():
        path = _project_of(model)
        if path is None:
            continue
        aside = model.objects.exclude(quarantined_at=None)
        rows = aside.values_list(F(path)).annotate(Min("quarantined_at"), Max("last_error"))
        for project_id, first, reason in rows:
            _raise(kind, project_id, first, reason)


@transaction.atomic
def _raise(kind: str, project_id: UUID, first: datetime, reason: str) -> None:
    cause = Cause(
        pattern="job_quarantined",
        severity="high",
        sentence=f"A job of the kind {kind} failed for good: {reason}",
        next_step=NEXT,
        tool_name=kind,
        onset_at=first,
        received_at=first,
        detected_at=first,
    )
    alert = locked(project_id, cause)
    missing = _set_aside(kind, project_id, alert) - (0 if alert.resolved_at else alert.findings)
    if missing > 0:
        raise_on(alert, [cause] * missing)
    elif not alert.findings:
        alert.delete()  # somebody released the jobs in this moment


def _set_aside(kind: str, project_id: UUID, alert: Alert) -> int:
    """Count the jobs that were set aside since this occurrence began, or since the last one was resolved."""
    model = Job.kinds()[kind]
    since = {"quarantined_at__gt": alert.resolved_at} if alert.resolved_at else {"quarantined_at__gte": alert.onset_at}
    wanted: dict[str, Any] = {str(_project_of(model)): project_id, **since}
    return model.objects.filter(**wanted).count()


def _project_of(model: type[Job]) -> str | None:
    """Return how a job leads to its project: by what it is about."""
    for field in model.own_fields():
        target = field.related_model
        if isinstance(target, type) and any(each.name == "project" for each in target._meta.get_fields()):
            return f"{field.name}__project"
    return None


def notice_channels() -> None:
    """Raise an alert for each channel of which people were told that it fails, and resolve those of all others."""
    failing = list(Channel.objects.troubled().exclude(told_at=None))
    for channel in failing:
        _raise_channel(channel)
    well = _underway("channel_failing").exclude(fingerprint__in=[_of_channel(each).fingerprint for each in failing])
    for alert in well:
        recover(alert, is_told=True)


def _raise_channel(channel: Channel) -> None:
    cause = _of_channel(channel)
    # As recording._tell_failing names it; that message went to all channels but this one.
    report(channel.project_id, cause, told_by=f"channel:{channel.pk}:failing:{cause.onset_at}")


def _of_channel(channel: Channel) -> Cause:
    since = channel.gone_at or channel.failing_since or timezone.now()
    said = "is gone: its receiver wants nothing any more" if channel.gone_at else f"fails: {channel.last_error}"
    return _cause(
        "channel_failing",
        f"The channel {channel.name} {said}",
        since,
        thing=str(channel.pk),
        next_step="Look at the channel's page, mend what its receiver says, and send a test.",
    )


def notice_silent_workers() -> None:
    """Raise an alert in every project when all workers fell silent; the sweeper looks. One query while all is well."""
    _notice_silent(WORKER, "the sweeper does their work, more slowly")


def notice_silent_sweepers() -> None:
    """Raise an alert in every project when all sweepers fell silent; the workers look. One query while all is well."""
    _notice_silent(SWEEPER, "deadlines, retries and forgotten work stand still")


def _notice_silent(kind: str, what_then: str) -> None:
    """Raise an alert when all processes of a kind ended without a goodbye; resolve it when one is back."""
    rows = Process.objects.filter(kind=kind)
    last: datetime | None = rows.aggregate(last=Max("seen_at"))["last"]
    if last is None:
        return
    cause = _cause(
        "component_silent",
        f"No {kind} has been seen since {last:%H:%M:%S} UTC; {what_then}",
        last,
        thing=kind,
        next_step=f"Look why the {kind} processes ended, and start them again.",
    )
    _judge(cause, is_silent=rows.unseen(SILENT_AFTER).filter(seen_at=last).exists())


def notice_unsent() -> None:
    """Raise an alert in every project while messages wait and nobody sends them. Two queries while all is well.

    It shows in the product; whoever waits for its message gets it once somebody sends again.
    """
    late = DeliverJob.objects.due(overdue_s=SILENT_AFTER.total_seconds()).order_by("due_at")
    since: datetime | None = late.values_list("due_at", flat=True).first()
    cause = _cause(
        "component_silent",
        f"Messages wait since {since or timezone.now():%H:%M:%S} UTC and nobody sends them",
        since or timezone.now(),
        thing="notifier",
        severity="critical",
        next_step="Look at the log of the workers and the sweeper: people are not told of alerts.",
    )
    _judge(cause, is_silent=since is not None)


def _judge(cause: Cause, *, is_silent: bool) -> None:
    """Raise the alert about a part of the system in every project, or resolve it."""
    if is_silent:
        for project_id in Project.objects.values_list("pk", flat=True):
            report(project_id, cause)
    else:
        for alert in _underway("component_silent").filter(fingerprint=cause.fingerprint):
            recover(alert)


def notice_audit(reports: Iterable[ChainReport]) -> None:
    """Raise an alert for each chain of the audit trail that was changed; that of the installation in every project."""
    for chain in reports:
        if not chain.problem:
            continue
        cause = _cause(
            "audit_broken",
            f"The audit trail was changed: {chain.problem}",
            timezone.now(),
            thing=chain.chain,
            severity="critical",
            next_step="Run audit verify, compare with a backup, and find out who could write to the database.",
        )
        wanted = Project.objects.all() if chain.chain == INSTALLATION else Project.objects.filter(pk=chain.chain)
        known = Alert.objects.filter(fingerprint=cause.fingerprint, explanation=cause.sentence).values("project")
        for project_id in wanted.exclude(pk__in=known).values_list("pk", flat=True):
            report(project_id, cause)


@transaction.atomic
def notice_not_undone(  # noqa: PLR0913 - what a person needs to put it right by hand
    project_id: UUID, *, run_id: UUID, agent: str, tool_name: str, reason: str, manual_steps: str, trace_id: UUID
) -> None:
    """Raise an alert for a run of which an effect could not be undone, in the transaction that gives it up."""
    trace = Trace.objects.of(project_id).filter(trace_id=trace_id).values_list("pk", flat=True).first()
    cause = _cause(
        "compensation_failed",
        f"{tool_name} could not be undone: {reason}",
        timezone.now(),
        thing=str(run_id),
        severity="critical",
        next_step=manual_steps,
        agent=agent,
        tool_name=tool_name,
        trace_id=trace,
    )
    report(project_id, cause)


def _cause(pattern: str, sentence: str, at: datetime, *, severity: str = "high", **more: Any) -> Cause:
    times: dict[str, Any] = {"onset_at": at, "received_at": at, "detected_at": at}
    return Cause(pattern=pattern, sentence=sentence, severity=severity, **times, **more)


@transaction.atomic
def report(project_id: UUID, cause: Cause, *, told_by: str = "") -> None:
    """Raise an alert, unless that of this cause is under way, or has been resolved since it began."""
    alert = locked(project_id, cause)
    if alert.findings and (alert.state != AlertState.RESOLVED or alert.onset_at >= cause.onset_at):
        return
    raise_on(alert, [cause], told_by=told_by)


@transaction.atomic
def recover(alert: Alert, *, is_told: bool = False) -> None:
    """Resolve an alert because what it is about works again, and tell so unless another message did."""
    alert = Alert.objects.select_for_update(of=("self",)).get(pk=alert.pk)
    if not life.resolve(alert, verdict=Verdict.TRUE_POSITIVE):
        return
    if not is_told and alert.told_at is not None and alert.flapping_since is None:
        tell(alert, News.RECOVERED)
    else:
        tell_followers(alert, "resolved", alert.resolved_at)
    announce(alert.project_id)
    audit.record("alert.recovered", actor=SYSTEM, project=alert.project_id, target=alert)


def _underway(pattern: str) -> Any:
    return Alert.objects.unresolved().filter(pattern=pattern)
