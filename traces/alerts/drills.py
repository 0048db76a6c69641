"""What became of drills: how fast each was told, which were missed, and the alert about those that were."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, Max, OuterRef, Q
from django.db.models.functions import Now
from django.utils import timezone

from agentops.accounts.models import Project
from traces.alerts import system
from traces.alerts.grouping import Cause, locked, raise_on
from traces.alerts.models import Alert, AlertState
from traces.alerts.mttd import CAP, MEASURED, Point, point_of
from traces.drills.models import Drill

PATIENCE = timedelta(minutes=2)  # what is not told by then is missed, until it is told after all
AT_ONCE = 50
MISSED = "drill"  # the tool's place of the alert about those
NEXT = "Look at /healthz/deep and at the log of the workers: what was injected on purpose was not told in time."


def points(project: Project, since: datetime) -> list[Point]:
    """Return the drills since a moment, oldest first, those on their way left out. Two queries.

    Those of the project, and the scheduled ones of the installation. The onset is what was registered before the
    first step was sent; a missed one counts as the cap.
    """
    rows = Drill.objects.seen_by(project).filter(registered_at__gte=since, pattern__in=MEASURED)
    drills = list(rows.order_by("registered_at"))
    told = _told(drills)
    late = timezone.now() - PATIENCE
    return [_point(drill, told.get(drill.pk)) for drill in drills if drill.pk in told or drill.registered_at < late]


def last_told_s() -> float | None:
    """How long ago a drill was last told; None when none ever was. One query."""
    told = Alert.objects.filter(drill__isnull=False, pattern=F("drill__pattern"), delivered_at__isnull=False)
    age = told.order_by("-delivered_at").annotate(age=Now() - F("delivered_at")).values_list("age", flat=True).first()
    return max(age.total_seconds(), 0.0) if age is not None else None


def missed_now() -> list[str]:
    """Return the patterns whose last scheduled drill nobody was told of in time; none while drills are off. One query.

    Drills that are still on their way say nothing yet; those from before the cap are too old to say anything.
    """
    if not settings.DRILL_EVERY_S:
        return []
    lately = max(CAP, timedelta(seconds=3 * settings.DRILL_EVERY_S))
    told = Alert.objects.filter(drill=OuterRef("pk"), pattern=OuterRef("pattern"), delivered_at__isnull=False)
    drills = Drill.objects.filter(is_scheduled=True, registered_at__gt=Now() - lately).annotate(is_told=Exists(told))
    judged = drills.filter(Q(is_told=True) | Q(registered_at__lt=Now() - PATIENCE))
    last = judged.order_by("pattern", "-registered_at").distinct("pattern").values_list("pattern", "is_told")
    return [pattern for pattern, is_told in last if not is_told]


def recover_when_told() -> None:
    """Resolve the alert about missed drills once the next drill of each pattern was told. One query without one."""
    raised = Alert.objects.unresolved().filter(pattern="component_silent", tool_name=MISSED)
    for alert in raised if raised.exists() and _is_well_again() else ():
        system.recover(alert)


def _is_well_again() -> bool:
    """Say whether a drill was told in each pattern that was missed, and after it was."""
    if not settings.DRILL_EVERY_S or missed_now():
        return False
    missed = Drill.objects.filter(is_scheduled=True).aggregate(last=Max("missed_at"))["last"]
    told = Alert.objects.filter(drill__is_scheduled=True, pattern=F("drill__pattern"), delivered_at__gt=missed)
    return missed is not None and told.exists()


def notice_missed() -> None:
    """Raise `component_silent` for scheduled drills that nobody was told of in time. One query when there are none."""
    due = Drill.objects.filter(is_scheduled=True, missed_at=None, registered_at__lt=Now() - PATIENCE)
    due = due.filter(registered_at__gt=Now() - CAP)
    drills = list(due.order_by("registered_at")[:AT_ONCE])
    told = _told(drills)
    for drill in drills:
        if drill.pk not in told:
            _notice(drill)


def _told(drills: Iterable[Drill]) -> dict[object, Alert]:
    """Return the first alert of each drill's own pattern that was delivered. One query."""
    rows = Alert.objects.filter(drill__in=[drill.pk for drill in drills], pattern=F("drill__pattern"))
    rows = rows.filter(delivered_at__isnull=False).order_by("-delivered_at")
    return {row.drill_id: row for row in rows}


def _point(drill: Drill, alert: Alert | None) -> Point:
    if alert is not None:
        return replace(point_of(alert, drill.onset_at, own=True), alert_id=None)
    # Of what severity it would have been, nobody knows.
    return Point(
        pattern=drill.pattern, severity="", onset_at=drill.onset_at, to_told_s=CAP.total_seconds(), is_missed=True
    )


@transaction.atomic
def _notice(drill: Drill) -> None:
    """Tell the people of the oldest project: those who keep the installation. A second miss joins the first."""
    if not Drill.objects.filter(pk=drill.pk, missed_at=None).update(missed_at=Now()):
        return
    keepers = Project.objects.order_by("created_at", "id").first()
    if keepers is None:
        return
    now = timezone.now()
    cause = Cause(
        pattern="component_silent",
        severity="critical",
        sentence=f"A drill of {drill.pattern} was not told within {PATIENCE.total_seconds():.0f} s",
        next_step=NEXT,
        tool_name=MISSED,
        onset_at=drill.onset_at,
        received_at=now,
        detected_at=now,
    )
    alert = locked(keepers.pk, cause)
    if alert.state != AlertState.RESOLVED or alert.resolved_at is None or alert.resolved_at < drill.registered_at:
        raise_on(alert, [cause])
