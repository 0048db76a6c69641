"""The overview, and the page that waits with a developer for their first trace."""

from datetime import timedelta

from django.http import HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_GET

from agentops.accounts.models import ApiKey
from agentops.accounts.request import ProjectRequest
from agentops.web.pages import render_page
from traces import queries
from traces.models import Trace, TraceStatus
from traces.queries import TraceFilters

WINDOWS = {"1h": timedelta(hours=1), "24h": timedelta(hours=24), "7d": timedelta(days=7)}
BARS = 48
ROWS = 8


@require_GET
def overview(request: ProjectRequest) -> HttpResponse:
    """Show what runs now and how the last hours went. Seven queries; the start page while there is no trace at all."""
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
        "counts": queries.facets(request.project, since),
        "histogram": queries.per_interval(request.project, since, until, BARS),
        "sums": queries.ledger(request.project, since),
        "live": queries.newest(request.project, TraceFilters(status=TraceStatus.RUNNING), ROWS),
        "failed": queries.newest(request.project, TraceFilters(status=TraceStatus.ERROR, since=since), ROWS),
        "agents": queries.busiest(request.project, since, ROWS),
    }
    return render_page(request, "console/overview.html", context, partial="now")


@require_GET
def start(request: ProjectRequest) -> HttpResponse:
    """Show how to send the first trace, and how far it has come. Four queries."""
    key = ApiKey.objects.of(request.project).usable().order_by("created_at").first()
    context = {
        "key": key,
        "used_key": ApiKey.objects.of(request.project).exclude(last_used_at=None).order_by("-last_used_at").first(),
        "batch": queries.last_batch(request.project),
        "trace": queries.newest(request.project, TraceFilters(), 1).first(),
    }
    return render_page(request, "console/start.html", context, partial="stations")
