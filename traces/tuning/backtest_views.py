"""The page of one backtest: how far it is, what would appear and what would vanish."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_POST

from agentops.accounts.policy import may, requires
from agentops.accounts.request import ProjectRequest
from agentops.accounts.scoped import get_scoped_or_404
from agentops.web.pages import render_page
from traces.tuning import backtests, queries
from traces.tuning.services import Wish
from traces.tuning.trials import Backtest, Change
from traces.tuning.views import MANAGE


@require_GET
@requires("view")
def backtest(request: ProjectRequest, pk: UUID) -> HttpResponse:
    """Show how far a backtest is, and what it found. Two queries."""
    row = get_scoped_or_404(Backtest.objects.select_related("by"), request.project, pk=pk)
    kind = queries.kind_or_404(row.detector)
    then = queries.thresholds(kind, Wish(row.thresholds))
    now = queries.thresholds(kind, Wish(row.against))
    context = {
        "row": row,
        "numbers": [pair for pair in zip(now, then, strict=True) if pair[0].value != pair[1].value],
        "sorts": _sorts(row),
        "most_steps": backtests.MOST_STEPS,
        "most_counted": backtests.MOST_COUNTED,
        "may_manage": may(request.membership, MANAGE),
    }
    return render_page(request, "tuning/backtest.html", context, partial="progress")


@require_POST
@requires(MANAGE)
def backtest_cancel(request: ProjectRequest, pk: UUID) -> HttpResponse:
    """End a backtest; what it found so far stays."""
    row = get_scoped_or_404(Backtest, request.project, pk=pk)
    if not backtests.cancel(row, by=request.user, request=request):
        messages.info(request, "It had ended already.")
    return redirect(row)


def _sorts(row: Backtest) -> list[tuple[str, int, list[object]]]:
    """Return what is listed of each sort, with how many there are."""
    listed: dict[str, list[object]] = {change: [] for change in Change}
    for each in row.differences.select_related("trace").order_by("change", "id"):
        listed[each.change].append(each)
    titles = {Change.APPEARED: "Would appear", Change.VANISHED: "Would vanish", Change.UNCHANGED: "Found by both"}
    return [(title, getattr(row, change), listed[change]) for change, title in titles.items()]
