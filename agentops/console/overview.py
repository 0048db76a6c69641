"""The overview, and the page that waits with a developer for their first trace."""

from datetime import datetime, timedelta
from typing import Any

from django.http import HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_GET

from agentops.accounts.models import ApiKey
from agentops.accounts.request import ProjectRequest
from agentops.web.pages import render_page
from approvals import queries as approvals_queries
from traces import activity, queries
from traces.alerts import mttd, patterns
from traces.alerts import queries as alert_queries
from traces.ingest.report import report
from traces.models import Trace, TraceStatus
from traces.queries import TraceFilters

WINDOWS = {"1h": timedelta(hours=1), "24h": timedelta(hours=24), "7d": timedelta(days=7)}
ROWS = 8
HOURS = 24


@require_GET
def overview(request: ProjectRequest) -> HttpResponse:
    """Show what runs now, what needs a person and how the last hours went.

    Twelve queries; the start page while there is no trace at all.
    """
    if not Trace.objects.of(request.project).exists():
        return start(request)
    window = request.GET.get("window", "")
    window = window if window in WINDOWS else "24h"
    until = timezone.now()
    since = until - WINDOWS[window]
    context = {
        "window": window,
        "windows": list(WINDOWS),
        "since": since,
        "until": until,
        "counts": activity.facets(request.project, since),
        "sums": activity.ledger(request.project, since),
        "live": queries.newest(request.project, TraceFilters(status=TraceStatus.RUNNING), ROWS),
        "failed": queries.newest(request.project, TraceFilters(status=TraceStatus.ERROR, since=since), ROWS),
        "agents": activity.busiest(request.project, since, ROWS),
        "asked": approvals_queries.waiting_sums(request.project),
        **_alerts(request, since, until),
    }
    return render_page(request, "console/overview.html", context, partial="now")


def _alerts(request: ProjectRequest, since: datetime, until: datetime) -> dict[str, Any]:
    """Return what needs a person, and what was found hour by hour. Five queries."""
    counts = alert_queries.counts(request.project)
    hours = alert_queries.per_hour(request.project, until - timedelta(hours=HOURS - 1), HOURS)
    top = max((n for totals, _ in hours.values() for n in totals), default=0)
    open_by_severity = alert_queries.add_up(counts, "severity", state="open")
    return {
        "mttd": mttd.figures(mttd.points(request.project, since)),
        "objective": mttd.OBJECTIVE_WORDS,
        "open_alerts": [(name, open_by_severity.get(name, 0)) for name in ("critical", "high", "medium", "low")],
        "open_total": sum(open_by_severity.values()),
        "taken_total": alert_queries.add_up(counts, "state").get("acknowledged", 0),
        "urgent": alert_queries.needing_a_person(request.project, ROWS),
        "per_hour": [(name, *hours.get(name, ([0] * HOURS, [0] * HOURS))) for name in patterns.FAILURES],
        "per_hour_top": top,
    }


@require_GET
def start(request: ProjectRequest) -> HttpResponse:
    """Show how to send the first trace, and how far it has come. Five queries."""
    key = ApiKey.objects.of(request.project).usable().order_by("created_at").first()
    context = {
        "key": key,
        "used_key": ApiKey.objects.of(request.project).exclude(last_used_at=None).order_by("-last_used_at").first(),
        "batch": activity.last_batch(request.project),
        "trace": queries.newest(request.project, TraceFilters(), 1).first(),
        "clients": report(request.project),
    }
    return render_page(request, "console/start.html", context, partial="stations")
