"""The pages of silences: which there are, how to add one, what each held back, and its end."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from agentops.accounts.policy import may, requires
from agentops.accounts.request import ProjectRequest
from agentops.accounts.scoped import get_scoped_or_404
from agentops.web.keyset import CursorError, keyset_page
from agentops.web.pages import render_page
from traces.alerts import queries, services
from traces.alerts.forms import WideSilenceForm
from traces.alerts.silences import Silence

ROWS, HELD = 50, 100
ORDER = ("-until", "-id")
INVALID = 422


@require_GET
def silence_list(request: ProjectRequest) -> HttpResponse:
    """List silences, those that last longest first, and offer to add one. One query."""
    return _list(request, WideSilenceForm(initial={**request.GET.dict(), "hours": "8"}))


@require_POST
@requires("acknowledge")
def silence_add(request: ProjectRequest) -> HttpResponse:
    form = WideSilenceForm(request.POST)
    if not form.is_valid():
        return _list(request, form, status=INVALID)
    made = services.silence_all(
        request.project,
        by=request.user,
        about=form.about(),
        lasting=form.lasting(),
        reason=form.cleaned_data["reason"],
        request=request,
    )
    messages.success(request, "Silenced. What is open at its end is told then.")
    return redirect(made)


@require_http_methods(["GET", "HEAD"])
def silence_detail(request: ProjectRequest, silence_id: UUID) -> HttpResponse:
    """Show one silence and the newest messages that it held back. Two queries."""
    silence = _silence(request, silence_id)
    context = {
        "silence": silence,
        "now": timezone.now(),
        "may_act": may(request.membership, "acknowledge"),
        "held": silence.held.select_related("alert").order_by("-id")[:HELD],
    }
    return render(request, "alerts/silence.html", context)


@require_POST
@requires("acknowledge")
def silence_end(request: ProjectRequest, silence_id: UUID) -> HttpResponse:
    silence = _silence(request, silence_id)
    if services.end(silence, by=request.user, request=request):
        messages.success(request, "Ended. What is still open is told now.")
    else:
        messages.error(request, "It was over already.")
    return redirect(silence)


def _silence(request: ProjectRequest, silence_id: UUID) -> Silence:
    return get_scoped_or_404(queries.silences(request.project), request.project, pk=silence_id)


def _list(request: ProjectRequest, form: WideSilenceForm, status: int = 200) -> HttpResponse:
    rows = queries.silences(request.project)
    try:
        page = keyset_page(rows, after=request.GET.get("after"), limit=ROWS, by=ORDER)
    except CursorError:
        page = keyset_page(rows, after=None, limit=ROWS, by=ORDER)
    context = {"page": page, "form": form, "now": timezone.now(), "may_act": may(request.membership, "acknowledge")}
    answer = render_page(request, "alerts/silences.html", context, partial="rows")
    answer.status_code = status
    return answer
