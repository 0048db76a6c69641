"""The pages of detectors: what each does, what is set for it here, and what was."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from agentops.accounts.policy import may, refusal, requires
from agentops.accounts.request import ProjectRequest
from agentops.accounts.scoped import get_scoped_or_404
from traces.detectors.limits import ThresholdError
from traces.tuning import queries, services
from traces.tuning.forms import OFF, ON, SettingsForm
from traces.tuning.models import SettingsVersion

INVALID, CONFLICT = 422, 409
VERSIONS = 50  # that are listed
MANAGE = "manage_detectors"


@require_GET
@requires("view")
def detector_list(request: ProjectRequest) -> HttpResponse:
    """List all detectors by pattern. Four queries."""
    return render(request, "tuning/list.html", {"detectors": queries.tuned(request.project)})


@require_http_methods(["GET", "HEAD"])
@requires("view")
def detector(request: ProjectRequest, name: str) -> HttpResponse:
    """Explain one detector, and show what is set for it and what was. Five queries."""
    return _page(request, queries.tuned_or_404(request.project, name))


@require_POST
@requires(MANAGE)
def detector_set(request: ProjectRequest, name: str) -> HttpResponse:
    """Save what was filled in, or with `reset` the defaults, as a new version."""
    one = queries.tuned_or_404(request.project, name)
    form = SettingsForm(request.POST, kind=one.kind, now=one.thresholds)
    is_reset = "reset" in request.POST
    if not is_reset and not form.is_valid():
        return _page(request, one, form, status=INVALID)
    wish = services.Wish(note="the defaults again") if is_reset else form.wish()
    base = None if is_reset else form.cleaned_data["base"]
    try:
        made = services.set_detector(request.project, one.kind, wish, by=request.user, base=base, request=request)
    except services.ChangedMeanwhileError as error:
        form.add_error(None, f"{error} Look at the history below, then save again from this page as it is now.")
        return _page(request, one, form, status=CONFLICT)
    _say(request, made)
    return redirect("detectors:detector", name)


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
        start = {"mode": ON if one.wish.enabled else OFF, "base": past[0].number if past else 0}
        form = SettingsForm(kind=one.kind, now=one.thresholds, initial=start)
    context: dict[str, Any] = {
        "one": one,
        "form": form,
        "versions": [(version, services.wish_of(version).words()) for version in past],
        "may_manage": may_manage,
        "refusal": refusal(MANAGE),
    }
    return render(request, "tuning/detector.html", context, status=status)


def _say(request: ProjectRequest, made: SettingsVersion | None) -> None:
    if made is None:
        messages.info(request, "Nothing changed: this is what is in force.")
    else:
        messages.success(request, f"Version {made.number} is in force, from the next look at each trace on.")
