"""Time to contain: from the onset of a failure to the moment its run was stopped, measured like the time to detect."""

from datetime import datetime

from django.db.models import Exists, OuterRef

from agentops.accounts.models import Project
from traces.alerts.models import OBJECTIVE
from traces.alerts.mttd import CAP, Point, between
from traces.containment.queries import stops_of_failures
from traces.drills.models import Drill

RULE, PERSON = "rule", "person"


def contained(project: Project, since: datetime) -> dict[tuple[str, str], list[Point]]:
    """Return the stops since a moment by pattern and by who stopped: a rule, or a person. Those of drills are left out.

    The onset is what the detector says. One query.
    """
    drilled = Drill.objects.filter(project=OuterRef("project"), trace_id=OuterRef("trace__trace_id"))
    rows = stops_of_failures(project, since).exclude(Exists(drilled)).order_by("pattern", "stopped_at")
    found: dict[tuple[str, str], list[Point]] = {}
    for stop in rows:
        took, cap = between(stop.onset_at, stop.stopped_at) or 0.0, CAP.total_seconds()
        received = between(stop.onset_at, stop.received_at) or 0.0
        point = Point(
            pattern=stop.pattern,
            severity="",
            onset_at=stop.onset_at or stop.stopped_at,
            to_told_s=min(took, cap),
            receipt_to_told_s=between(stop.received_at, stop.stopped_at),
            is_missed=took >= cap,
            is_late=received > OBJECTIVE.total_seconds(),
        )
        found.setdefault((stop.pattern, PERSON if stop.by_id else RULE), []).append(point)
    return found
