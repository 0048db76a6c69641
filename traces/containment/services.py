"""Stopping a run, and setting which patterns do so by themselves."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now
from django.http import HttpRequest

from agentops.accounts.models import Project, User
from agentops.audit import services as audit
from agentops.audit.ref import SYSTEM
from traces.containment.models import Stop, StopRule
from traces.containment.news import announce
from traces.containment.signals import stopped
from traces.models import Trace

# An agent may have asked in a transaction that began before the stop and ends after it.
ASKED_MEANWHILE = timedelta(seconds=60)


class AlreadyStoppedError(Exception):
    """The run was stopped before."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """The finding that a stop puts an end to."""

    finding_id: UUID
    pattern: str
    onset_at: datetime
    received_at: datetime


@transaction.atomic
def stop(
    trace: Trace,
    *,
    by: User | None,
    reason: str = "",
    failure: Failure | None = None,
    request: HttpRequest | None = None,
) -> Stop:
    """Stop a run for good: from the commit on, the gate lets nothing of it through. Raises AlreadyStoppedError.

    One conditional UPDATE decides who stops it. Call it last: it locks the trace and the audit trail until the
    transaction ends. Steps that still arrive are kept.
    """
    # First the lock: what was claimed while this waited is claimed before the time that is written below.
    Trace.objects.select_for_update(no_key=True).filter(pk=trace.pk).values_list("pk").first()
    if not Trace.objects.filter(pk=trace.pk, stopped_at=None).update(stopped_at=Now()):
        raise AlreadyStoppedError("This run was stopped before.")
    trace.refresh_from_db(fields=["stopped_at"])
    about = {} if failure is None else vars(failure)
    made = Stop.objects.create(
        project_id=trace.project_id, trace=trace, stopped_at=trace.stopped_at or Now(), by=by, reason=reason, **about
    )
    announce(trace)
    transaction.on_commit(lambda: stopped.send(Stop, stop_id=made.pk), robust=True)
    detail = {"reason": reason, "pattern": made.pattern}
    audit.record(
        "run.stopped", actor=by or SYSTEM, project=trace.project_id, target=made, detail=detail, request=request
    )
    return made


def settle(stops: Iterable[Stop]) -> None:
    """Note of those that are old enough that nothing of them can wait at the gate any more. At most one statement."""
    ids = [stop.pk for stop in stops]
    if ids:
        Stop.objects.filter(pk__in=ids, stopped_at__lte=Now() - ASKED_MEANWHILE).update(settled_at=Now())


@transaction.atomic
def set_rules(project: Project, rules: Mapping[str, str], *, by: User, request: HttpRequest | None = None) -> bool:
    """Let exactly these patterns stop runs, each from a severity on; return whether that is a change."""
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)  # two admins: the later one wins whole
    before = rules_of(project.pk)
    if before == dict(rules):
        return False
    StopRule.objects.of(project).delete()
    StopRule.objects.bulk_create(
        StopRule(project=project, pattern=pattern, severity=severity) for pattern, severity in sorted(rules.items())
    )
    detail = {"before": _words(before), "after": _words(rules)}
    audit.record("containment.changed", actor=by, project=project, target=project, detail=detail, request=request)
    return True


def rules_of(project_id: UUID) -> dict[str, str]:
    """Return the patterns that stop a run, with the least severity that does. One query."""
    return dict(StopRule.objects.of(project_id).values_list("pattern", "severity"))


def _words(rules: Mapping[str, str]) -> list[str]:
    return [f"{pattern} from {severity} on" for pattern, severity in sorted(rules.items())] or ["nothing"]
