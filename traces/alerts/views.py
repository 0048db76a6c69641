"""The pages of alerts: the list, one alert, and what people do with it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from agentops.accounts.policy import may, requires
from agentops.accounts.request import ProjectRequest
from agentops.accounts.scoped import get_scoped_or_404
from agentops.notify import queries as notify_queries
from agentops.web.keyset import CursorError, KeysetPage, keyset_page
from agentops.web.pages import is_part_wanted, render_page
from traces.alerts import evidence, queries, services
from traces.alerts.clock import ticks
from traces.alerts.forms import HOLDS, SILENCES, AcknowledgeForm, ResolveForm, SilenceForm
from traces.alerts.models import Alert, AlertState
from traces.alerts.precision import demotion_of
from traces.alerts.queries import AlertFilters
from traces.alerts.silences import Silence
from traces.detectors.models import FindingState

ROWS = 50
FINDINGS = 20  # listed on an alert's page
PAST = 8
UNRESOLVED, ALL = "unresolved", "all"


@require_GET
def alert_list(request: ProjectRequest) -> HttpResponse:
    """List alerts, those that are not resolved unless another state is asked for. Two queries; one for a part."""
    state, pattern = request.GET.get("state", UNRESOLVED), request.GET.get("pattern", "")[:100].replace("\x00", "")
    state = state if state in {ALL, *AlertState.values} else UNRESOLVED
    filters = AlertFilters(
        state=state if state in AlertState.values else "", pattern=pattern, unresolved=state == UNRESOLVED
    )
    drill = request.GET.get("drill") == "1"
    filters = replace(filters, drill=drill)
    chosen = {"state": "" if state == UNRESOLVED else state, "pattern": pattern, "drill": "1" if drill else ""}
    context: dict[str, Any] = {
        "page": _page(request, filters),
        "state": state,
        "pattern": pattern,
        "now": timezone.now(),
        "query": urlencode({name: value for name, value in chosen.items() if value}),
    }
    if not is_part_wanted(request):
        counts = queries.counts(request.project)
        of_pattern = {"pattern": pattern} if pattern else {}
        context["states"] = states = queries.add_up(counts, "state", **of_pattern)
        context["unresolved"] = states.get(AlertState.OPEN, 0) + states.get(AlertState.ACKNOWLEDGED, 0)
        context["patterns"] = queries.add_up(counts, "pattern")
    return render_page(request, "alerts/list.html", context, partial="rows")


def _page(request: ProjectRequest, filters: AlertFilters) -> KeysetPage[Alert]:
    rows = queries.alerts(request.project, filters)
    try:
        return keyset_page(rows, after=request.GET.get("after"), limit=ROWS)
    except CursorError:
        return keyset_page(rows, after=None, limit=ROWS)


@require_GET
def alert_detail(request: ProjectRequest, alert_id: UUID) -> HttpResponse:
    """Show one alert: what happened, how fast it was told, what to do. Eight queries; one for the clock alone."""
    alert = _alert(request, alert_id)
    context: dict[str, Any] = {"alert": alert, "ticks": ticks(alert), "now": timezone.now()}
    context["may_act"] = may(request.membership, "acknowledge")
    if not is_part_wanted(request):
        context |= {"silences": SILENCES, "holds": HOLDS, **_evidence(alert)}
        context["silence"] = Silence.objects.of_alert(alert).select_related("by").first()
        context["deliveries"] = notify_queries.deliveries(alert.project_id, [alert.told_key]) if alert.told_key else []
        context["past"] = alert.past.select_related("resolved_by").order_by("-number")[:PAST]
    return render_page(request, "alerts/alert.html", context, partial="clock")


def _alert(request: ProjectRequest, alert_id: UUID) -> Alert:
    return get_scoped_or_404(queries.with_stop(Alert.objects.all()), request.project, pk=alert_id)


def _evidence(alert: Alert) -> dict[str, Any]:
    found = queries.findings_of(alert, FINDINGS)
    shown = next((finding for finding in found if finding.state == FindingState.OPEN), None) or next(iter(found), None)
    if shown is None:
        return {"findings": []}
    kind = evidence.detector_of(shown)
    return {
        "findings": found,
        "finding": shown,
        "demotion": demotion_of(alert, [shown.detector]),
        "evidence": evidence.evidence(shown),
        "decides": evidence.decides(kind) if kind else [],
        "about": kind.sections()[""] if kind else "",
    }


@require_POST
@requires("acknowledge")
def alert_acknowledge(request: ProjectRequest, alert_id: UUID) -> HttpResponse:
    alert, form = _alert(request, alert_id), AcknowledgeForm(request.POST)
    if not form.is_valid():
        return _refuse(request, alert, "Choose for how long.")
    lasting = form.lasting()
    return _act(
        request,
        alert,
        "You have it now.",
        lambda: services.acknowledge(alert, by=request.user, lasting=lasting, request=request),
    )


@require_POST
@requires("acknowledge")
def alert_resolve(request: ProjectRequest, alert_id: UUID) -> HttpResponse:
    alert, form = _alert(request, alert_id), ResolveForm(request.POST)
    if not form.is_valid():
        return _refuse(request, alert, "Choose whether it was true, and keep the note under 2,000 characters.")
    given = form.cleaned_data
    return _act(request, alert, "Resolved.", lambda: services.resolve(alert, by=request.user, request=request, **given))


@require_POST
@requires("acknowledge")
def alert_silence(request: ProjectRequest, alert_id: UUID) -> HttpResponse:
    alert, form = _alert(request, alert_id), SilenceForm(request.POST)
    if not form.is_valid():
        return _refuse(request, alert, "Give a reason of at most 500 characters, and for how long.")
    lasting, reason = form.lasting(), form.cleaned_data["reason"]
    return _act(
        request,
        alert,
        "Silenced. What fails meanwhile is told when the silence ends.",
        lambda: services.silence(alert, by=request.user, lasting=lasting, reason=reason, request=request),
    )


@require_POST
@requires("acknowledge")
def alert_hear(request: ProjectRequest, alert_id: UUID) -> HttpResponse:
    """End a silence early."""
    alert = _alert(request, alert_id)
    return _act(request, alert, "Heard again.", lambda: services.end_silence(alert, by=request.user, request=request))


def _act(request: ProjectRequest, alert: Alert, done: str, change: Callable[[], object]) -> HttpResponse:
    try:
        change()
    except services.AlreadyDoneError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, done)
    return redirect(alert)


def _refuse(request: ProjectRequest, alert: Alert, why: str) -> HttpResponse:
    messages.error(request, why)
    return redirect(alert)
