"""The settings page of containment: which patterns stop the run they are found in, and what was stopped last."""

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from agentops.accounts.policy import requires
from agentops.accounts.request import ProjectRequest
from traces.containment import services
from traces.containment.models import Stop
from traces.detectors.base import Severity
from traces.detectors.registry import all_detectors

INVALID = 422
LAST = 20  # stops that are listed
OFF = ("", "does not stop")
# Every finding is at least low, so that the first of them is "whatever is found".
FROM = (
    (str(Severity.LOW), "stops the run, at any severity"),
    (str(Severity.MEDIUM), "stops the run from medium on"),
    (str(Severity.HIGH), "stops the run from high on"),
    (str(Severity.CRITICAL), "stops the run at critical only"),
)


class RulesForm(forms.Form):
    """One choice for each pattern that some detector recognises."""

    def __init__(self, *args: object, rules: dict[str, str]) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        for pattern in patterns():
            self.fields[pattern] = forms.ChoiceField(
                label=pattern, choices=[OFF, *FROM], required=False, initial=rules.get(pattern, "")
            )

    def chosen(self) -> dict[str, str]:
        return {pattern: severity for pattern, severity in self.cleaned_data.items() if severity}


def patterns() -> list[str]:
    """Return the patterns that can be found."""
    return sorted({kind.pattern for kind in all_detectors()})


@require_http_methods(["GET", "HEAD", "POST"])
@requires("manage_containment")
def rules(request: ProjectRequest) -> HttpResponse:
    """Show which patterns stop a run, or set it. Two queries."""
    form = RulesForm(request.POST if request.method == "POST" else None, rules=services.rules_of(request.project.pk))
    if form.is_valid():
        if services.set_rules(request.project, form.chosen(), by=request.user, request=request):
            messages.success(request, "Saved. It counts from the next finding on.")
        return redirect("containment")
    stops = Stop.objects.of(request.project).select_related("trace", "by").order_by("-stopped_at")[:LAST]
    context = {"form": form, "stops": stops}
    return render(request, "console/containment.html", context, status=INVALID if form.errors else 200)
