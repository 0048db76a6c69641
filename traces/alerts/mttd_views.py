"""The page of the time to detect, and of how often detectors are right."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from agentops.accounts.models import Project
from agentops.accounts.policy import may, requires
from agentops.accounts.request import ProjectRequest
from agentops.accounts.scoped import get_scoped_or_404
from agentops.web.pages import render_page
from traces.alerts import drills, mttd, plot, precision
from traces.alerts.contained import contained
from traces.alerts.legs import LEGS, acknowledged, legs, resolved
from traces.alerts.verdicts import Demotion

WINDOWS = {"24h": timedelta(hours=24), "7d": timedelta(days=7), "30d": timedelta(days=30)}


@require_GET
def mttd_page(request: ProjectRequest) -> HttpResponse:
    """Show how fast failures were told, acknowledged, contained, and how often detectors are right. Eight queries."""
    window = request.GET.get("window", "")
    window = window if window in WINDOWS else "7d"
    since = timezone.now() - WINDOWS[window]
    found, drilled = mttd.points(request.project, since), drills.points(request.project, since)
    context = {
        "window": window,
        "windows": list(WINDOWS),
        "all": mttd.figures(found),
        "rows": _rows(found),
        "severities": _severities(found),
        "drills": mttd.figures(drilled),
        "drill_rows": _rows(drilled),
        "leg_names": LEGS,
        "leg_rows": _leg_rows(found, drilled),
        "taken": _taken(found),
        "contained": _contained(request.project, since),
        "uncounted": mttd.uncounted(request.project, since),
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


def _severities(found: Sequence[mttd.Point]) -> list[dict[str, Any]]:
    """Return the figures of each pattern and severity that there is."""
    return [
        {"pattern": pattern, "severity": severity, "figures": mttd.figures(some)}
        for pattern, points in mttd.by_pattern(found).items()
        for severity, some in mttd.by_severity(points).items()
    ]


def _leg_rows(found: Sequence[mttd.Point], drilled: Sequence[mttd.Point]) -> list[dict[str, Any]]:
    """Return the legs of all drills, of all failures, and of each pattern that there is."""
    of = {"drills": drilled, "failures": found}
    of |= {pattern: points for pattern, points in mttd.by_pattern(found).items() if points}
    known = {name: legs(points) for name, points in of.items()}
    longest_s = max(map(plot.length_s, known.values()))
    return [
        {"name": name, "legs": parts, "strip": plot.legs_svg(parts, longest_s), "n": len(of[name])}
        for name, parts in known.items()
    ]


def _taken(found: Sequence[mttd.Point]) -> list[dict[str, Any]]:
    """Return what people did about the failures of each pattern that there is, after all of them."""
    of = {"": found} | {pattern: points for pattern, points in mttd.by_pattern(found).items() if points}
    return [
        {"pattern": pattern, "n": len(points), "acknowledged": acknowledged(points), "resolved": resolved(points)}
        for pattern, points in of.items()
    ]


def _contained(project: Project, since: datetime) -> list[dict[str, Any]]:
    rows = []
    for (pattern, by), points in contained(project, since).items():
        figures = mttd.figures(points)
        rows.append({"pattern": pattern, "by": by, "figures": figures, "plot": plot.strip_plot_svg(points, figures)})
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
