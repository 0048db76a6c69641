"""The pages of detectors: what each does, what is set for it here, and what was."""

from dataclasses import replace
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from agentops.accounts.policy import may, refusal, requires
from agentops.accounts.request import ProjectRequest
from agentops.accounts.scoped import get_scoped_or_404
from agentops.web.keyset import CursorError, keyset_page
from agentops.web.pages import render_page
from traces.detectors.limits import ThresholdError
from traces.tuning import backtests, queries, services
from traces.tuning.forms import SettingsForm
from traces.tuning.models import SettingsVersion
from traces.tuning.trials import Backtest

INVALID, CONFLICT = 422, 409
VERSIONS = 50  # that are listed
PAGE = 50
ACTIONS_WITHOUT_FORM = ("reset", "adopt", "end")  # buttons that ask for no number
ACTIONS = ("try", "backtest", *ACTIONS_WITHOUT_FORM)
MANAGE = "manage_detectors"


@require_GET
@requires("view")
def detector_list(request: ProjectRequest) -> HttpResponse:
    """List all detectors by pattern. Four queries."""
    return render(request, "tuning/list.html", {"detectors": queries.tuned(request.project)})


@require_http_methods(["GET", "HEAD"])
@requires("view")
def detector(request: ProjectRequest, name: str) -> HttpResponse:
    """Explain one detector, and show what is set for it and what was. Six queries."""
    return _page(request, queries.tuned_or_404(request.project, name))


@require_POST
@requires(MANAGE)
def detector_set(request: ProjectRequest, name: str) -> HttpResponse:
    """Save a new version: what was filled in, in force or on trial in shadow, or what another button stands for."""
    one = queries.tuned_or_404(request.project, name)
    form = SettingsForm(request.POST, kind=one.kind, now=one.thresholds)
    action = next((each for each in ACTIONS if each in request.POST), "")
    if action not in ACTIONS_WITHOUT_FORM and not form.is_valid():
        return _page(request, one, form, status=INVALID)
    if action == "backtest":
        return _backtest(request, one, form)
    base = None if action in ACTIONS_WITHOUT_FORM else form.cleaned_data["base"]
    try:
        wish = _wish(one.wish, form, action)
        made = services.set_detector(request.project, one.kind, wish, by=request.user, base=base, request=request)
    except services.ChangedMeanwhileError as error:
        form.add_error(None, f"{error} Look at the history below, then save again from this page as it is now.")
        return _page(request, one, form, status=CONFLICT)
    _say(request, made)
    return redirect("detectors:detector", name)


def _backtest(request: ProjectRequest, one: queries.Tuned, form: SettingsForm) -> HttpResponse:
    """Start a comparison of what was filled in with what is in force; nothing is saved of it."""
    try:
        return redirect(backtests.start(request.project, one.kind, form.thresholds(), by=request.user, request=request))
    except backtests.UnderWayError as error:
        form.add_error(None, str(error))
        return _page(request, one, form, status=CONFLICT)


def _wish(now: services.Wish, form: SettingsForm, action: str) -> services.Wish:
    """Return what the pressed button stands for; a candidate that is gone meanwhile changes nothing."""
    if action == "reset":
        return services.Wish(note="the defaults again", candidate=now.candidate)
    if action == "end":
        return replace(now, candidate=None, note="the trial in shadow has ended")
    if action == "adopt":
        tried = now.thresholds if now.candidate is None else now.candidate
        return replace(now, thresholds=tried, candidate=None, note="what was on trial is in force")
    if action == "try":
        return replace(now, candidate=form.thresholds(), note=form.cleaned_data["note"])
    return form.wish(now)


@require_GET
@requires("view")
def shadow_list(request: ProjectRequest) -> HttpResponse:
    """List what was found in shadow, newest first by receipt. One query."""
    detector = request.GET.get("detector", "")
    rows = queries.in_shadow(request.project, queries.kind_or_404(detector).name() if detector else "")
    try:
        page = keyset_page(rows, after=request.GET.get("after"), limit=PAGE)
    except CursorError as error:
        raise Http404(str(error)) from None
    query = urlencode({"detector": detector}) if detector else ""
    return render_page(
        request, "tuning/shadow.html", {"page": page, "detector": detector, "query": query}, partial="rows"
    )


@require_POST
@requires(MANAGE)
def version_restore(request: ProjectRequest, pk: UUID) -> HttpResponse:
    """Put an earlier version in force again."""
    version = get_scoped_or_404(SettingsVersion, request.project, pk=pk)
    kind = queries.kind_or_404(version.detector)
    try:
        _say(request, services.restore(request.project, kind, version, by=request.user, request=request))
    except ThresholdError as error:
        messages.error(request, f"Version {version.number} cannot be restored. {error}")
    return redirect("detectors:detector", version.detector)


def _page(
    request: ProjectRequest, one: queries.Tuned, form: SettingsForm | None = None, *, status: int = 200
) -> HttpResponse:
    past = list(services.versions(request.project, one.kind)[:VERSIONS])
    may_manage = may(request.membership, MANAGE)
    if form is None and may_manage:
        start = {"mode": one.mode, "base": past[0].number if past else 0}
        form = SettingsForm(kind=one.kind, now=_shown(request, one), initial=start)
    context: dict[str, Any] = {
        "one": one,
        "form": form,
        "versions": [(version, services.wish_of(version).words()) for version in past],
        "backtests": list(queries.last_backtests(request.project, one.kind)),
        "may_manage": may_manage,
        "refusal": refusal(MANAGE),
    }
    return render(request, "tuning/detector.html", context, status=status)


def _shown(request: ProjectRequest, one: queries.Tuned) -> list[queries.Threshold]:
    """Return the numbers that the form begins with: those in force, or with `?from=` those of a backtest."""
    chosen = request.GET.get("from", "")
    if not chosen:
        return one.thresholds
    tried = get_scoped_or_404(Backtest, request.project, pk=chosen, detector=one.name)
    return queries.thresholds(one.kind, services.Wish(tried.thresholds))


def _say(request: ProjectRequest, made: SettingsVersion | None) -> None:
    if made is None:
        messages.info(request, "Nothing changed: this is what is in force.")
    else:
        messages.success(request, f"Version {made.number} is in force, from the next look at each trace on.")
