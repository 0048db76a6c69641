"""Stopping a run by hand: ask first, saying what exactly will happen in every room; then stop it."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from agentops.accounts.policy import requires
from agentops.accounts.request import ProjectRequest
from agentops.runtime import pages
from agentops.runtime.models import Run
from agentops.runtime.states import ENDED, RunStatus
from approvals.models import Approval
from traces import queries
from traces.containment import services
from traces.containment.queries import wire_ids
from traces.detectors.base import ALONE
from traces.detectors.containing import failure_of
from traces.detectors.models import Finding
from traces.models import Trace

INVALID = 422
SHOWN = 20  # of what waits at the gate
LONGEST_REASON = 500


class StopForm(forms.Form):
    reason = forms.CharField(
        label="Reason",
        required=False,
        max_length=LONGEST_REASON,
        help_text="stands on the trace, in the audit log, and in what its agent is told",
    )


@require_http_methods(["GET", "HEAD", "POST"])
@requires("stop")
def stop_run(request: ProjectRequest, trace_id: str) -> HttpResponse:
    """Ask first, then stop. Four queries for the question, one more for a run of the built-in agent."""
    trace = queries.trace_or_404(request.project, trace_id)
    form = StopForm(request.POST if request.method == "POST" else None)
    if not form.is_valid():
        context = {"trace": trace, "form": form, **_what_happens(trace)}
        return render(request, "console/stop.html", context, status=INVALID if form.is_bound else 200)
    found = _first_failure(trace)
    try:
        services.stop(
            trace,
            by=request.user,
            reason=form.cleaned_data["reason"],
            failure=failure_of(found) if found else None,
            request=request,
        )
    except services.AlreadyStoppedError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, "Stopped. The gate lets nothing more of it through.")
    return redirect(trace)


def _what_happens(trace: Trace) -> dict[str, Any]:
    """Return what is denied at the gate, and the run of the built-in agent with what it did."""
    unused = Approval.objects.of(trace.project_id).unused().whole().filter(action__trace_id__in=wire_ids(trace))
    waiting = list(unused.order_by("created_at", "id")[: SHOWN + 1])
    run = Run.objects.of(trace.project_id).filter(trace_id=trace.trace_id).exclude(status__in=ENDED).first()
    return {
        "waiting": waiting[:SHOWN],
        "are_more": len(waiting) > SHOWN,
        "run": run,
        "needs_person": run is not None and run.status == RunStatus.NEEDS_PERSON,
        "deeds": pages.deeds(run, {}) if run else [],
    }


def _first_failure(trace: Trace) -> Finding | None:
    """Return the failure that has gone on for longest in a run; None where nothing was found."""
    open_ones = Finding.objects.of(trace.project_id).open().out_of_shadow().filter(trace=trace).exclude(kind__in=ALONE)
    return open_ones.order_by("onset_at", "id").first()
