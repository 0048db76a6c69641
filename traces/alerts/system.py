"""Alerts of the system about itself: work that was set aside. Read from the rows, so that no announcement is needed."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Max, Min

from agentops.jobs.models import Job
from traces.alerts.grouping import Cause, locked, raise_on
from traces.alerts.models import Alert

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
