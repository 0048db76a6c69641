"""The pages of this room: runs, a form that starts one, one run and its end."""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from agentops.accounts.policy import may, requires
from agentops.accounts.request import ProjectRequest
from agentops.accounts.scoped import get_scoped_or_404
from agentops.runtime import listing, llm, pages, services
from agentops.runtime.forms import RunForm
from agentops.runtime.models import Run
from agentops.runtime.states import ENDED
from agentops.web.keyset import CursorError, KeysetPage, keyset_page
from agentops.web.pages import is_part_wanted, render_page
from approvals.models import Approval
from traces import queries

ROWS = 50
STEPS = 20  # the last ones, on a run's page
NEWEST_FIRST = ("-created_at", "-id")


@require_GET
def run_list(request: ProjectRequest) -> HttpResponse:
    """List runs, newest first. Four queries; three for a part."""
    group = request.GET.get("state", "")
    group = group if group in listing.GROUPS else ""
    page = _page(request, group)
    waiting = listing.waited_for(request.project, [run.pk for run in page])
    traces = listing.traces_of(request.project, page.results)
    context: dict[str, Any] = {
        "page": page,
        "rows": [(run, traces.get(run.trace_id), waiting.get(run.pk, [])) for run in page],
        "group": group,
        "query": urlencode({"state": group}) if group else "",
        "may_run": may(request.membership, "run"),
        "is_simulated": llm.is_simulated(),
    }
    if not is_part_wanted(request):
        context["counts"] = listing.counts(request.project)
    return render_page(request, "runs/list.html", context, partial="rows")


def _page(request: ProjectRequest, group: str) -> KeysetPage[Run]:
    rows = listing.runs(request.project, group)
    try:
        return keyset_page(rows, after=request.GET.get("after"), limit=ROWS, by=NEWEST_FIRST)
    except CursorError:
        return keyset_page(rows, after=None, limit=ROWS, by=NEWEST_FIRST)


@require_http_methods(["GET", "POST"])
@requires("run")
def run_new(request: ProjectRequest) -> HttpResponse:
    """Ask what a run is to do, and start it; a form that is sent twice starts one."""
    asked = {"initial": {"scenario": request.GET.get("scenario", "")}} if request.method == "GET" else {}
    form = RunForm(request.project, request.POST if request.method == "POST" else None, **asked)
    if form.is_valid():
        run = services.start_run(request.project, by=request.user, request=request, **form.started_with())
        return redirect(run)
    context = {"form": form, "is_simulated": llm.is_simulated()}
    return render(request, "runs/new.html", context, status=400 if form.is_bound else 200)


@require_GET
def run_detail(request: ProjectRequest, run_id: UUID) -> HttpResponse:
    """Show one run: where it stands, what it did and how that is undone. Six queries, one more while it waits."""
    run = get_scoped_or_404(Run.objects.select_related("started_by"), request.project, pk=run_id)
    given = {one.pk: one for one in Approval.objects.of(request.project).whole().filter(action__run_id=run.pk)}
    waiting = sorted((one for one in given.values() if one.status == "pending"), key=lambda one: one.created_at)
    acts, last = pages.deeds(run, given), run.turns.order_by("-turn").first()
    trace = listing.traces_of(request.project, [run]).get(run.trace_id)
    first = max(trace.steps - STEPS, 0) if trace else 0
    context: dict[str, Any] = {
        "run": run,
        "now": timezone.now(),
        "waiting": waiting,
        "deciders": pages.who_decides(waiting),
        "deeds": acts,
        "undone": pages.undone(acts),
        "limits": pages.limits(run, timezone.now()),
        "said": pages.said(last),
        "trace": trace,
        "first": first,
        "steps": queries.step_window(trace, first, STEPS) if trace else [],
        "is_simulated": last.is_simulated if last else llm.is_simulated(run.scenario or None),
        "has_ended": run.status in ENDED,
        "may_run": may(request.membership, "run"),
    }
    return render_page(request, "runs/run.html", context, partial="live")


@require_http_methods(["GET", "POST"])
@requires("run")
def run_cancel(request: ProjectRequest, run_id: UUID) -> HttpResponse:
    """Ask first, saying what is undone; then cancel."""
    run = get_scoped_or_404(Run, request.project, pk=run_id)
    if request.method == "GET":
        return render(request, "runs/cancel.html", {"run": run, "deeds": pages.deeds(run, {})})
    try:
        services.cancel_run(run, by=request.user, request=request)
    except services.AlreadyEndedError as error:
        messages.error(request, str(error))
    else:
        under_way = "What is under way is finished first, then what can be undone is undone."
        messages.success(request, f"The run is being cancelled. {under_way}")
    return redirect(run)
