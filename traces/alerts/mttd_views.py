"""The page of the time to detect, and of how often detectors are right."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from agentops.accounts.policy import may, requires
from agentops.accounts.request import ProjectRequest
from agentops.accounts.scoped import get_scoped_or_404
from agentops.web.pages import render_page
from traces.alerts import drills, mttd, plot, precision
from traces.alerts.verdicts import Demotion

WINDOWS = {"24h": timedelta(hours=24), "7d": timedelta(days=7), "30d": timedelta(days=30)}


@require_GET
def mttd_page(request: ProjectRequest) -> HttpResponse:
    """Show the time to detect, pattern by pattern, and how often each detector is right. Six queries."""
    window = request.GET.get("window", "")
    window = window if window in WINDOWS else "7d"
    since = timezone.now() - WINDOWS[window]
    found, drilled = mttd.points(request.project, since), drills.points(request.project, since)
    context = {
        "window": window,
        "windows": list(WINDOWS),
        "all": mttd.figures(found),
        "rows": _rows(found),
        "drills": mttd.figures(drilled),
        "drill_rows": _rows(drilled),
        "axis": plot.axis_svg(),
        "missed": [point for point in found if point.is_missed][-1:],
        "objective": mttd.OBJECTIVE_WORDS,
        "cap": mttd.CAP_WORDS,
        **_precision(request),
    }
    return render_page(request, "alerts/mttd.html", context)


def _rows(found: Sequence[mttd.Point]) -> list[dict[str, Any]]:
    """Return what the page shows of each pattern."""
    rows = []
    for pattern, points in mttd.by_pattern(found).items():
        figures = mttd.figures(points)
        rows.append({"pattern": pattern, "figures": figures, "plot": plot.strip_plot_svg(points, figures)})
    return rows


def _precision(request: ProjectRequest) -> dict[str, Any]:
    known = precision.standing(request.project)
    return {
        "judged": [
            {"pattern": pattern, "precision": one, "bar": plot.share_svg(one.share, one.interval, precision.LEAST)}
            for pattern, one in known
        ],
        "demotions": [one.demotion for _, one in known if one.demotion],
        "may_lift": may(request.membership, "acknowledge"),
        "enough": precision.ENOUGH,
        "counted_days": precision.COUNTED.days,
    }


@require_POST
@requires("acknowledge")
def demotion_lift(request: ProjectRequest, demotion_id: UUID) -> HttpResponse:
    """Give what a detector finds its own severity again; whoever takes alerts on may: it only makes them louder."""
    demotion = get_scoped_or_404(Demotion.objects.all(), request.project, pk=demotion_id)
    if precision.lift(demotion, by=request.user, request=request):
        messages.success(request, f"{demotion.detector} has its own severity again. Verdicts count anew from now on.")
    else:
        messages.error(request, f"{demotion.detector} was not demoted any more.")
    return redirect("alerts:mttd")
