"""The settings page of redaction: a project's own rules, tried before they are added."""

from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from agentops.accounts.policy import requires
from agentops.accounts.request import ProjectRequest
from agentops.accounts.scoped import get_scoped_or_404
from agentops.redaction import services
from agentops.redaction.forms import RuleForm
from agentops.redaction.models import RedactionRule
from agentops.redaction.rules import MOST

INVALID = 422
TAKEN = "Another rule has this name."
TOO_MANY = f"A project has at most {MOST} rules; remove one, or join two with |."


@require_http_methods(["GET", "HEAD", "POST"])
@requires("manage_redaction")
def rules(request: ProjectRequest) -> HttpResponse:
    """List the rules; try one on a text, or add it. One query."""
    form = RuleForm(request.POST if request.method == "POST" else None)
    tried = None
    if form.is_valid():
        if "try" in request.POST:
            tried = _tried(request, form)
        elif _add(request, form):
            return redirect("redaction:rules")
    context = {
        "form": form,
        "tried": tried,
        "rules": RedactionRule.objects.of(request.project).select_related("created_by").order_by("name"),
    }
    return render(request, "redaction/rules.html", context, status=INVALID if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("manage_redaction")
def rule_remove(request: ProjectRequest, pk: UUID) -> HttpResponse:
    """Ask first, then remove."""
    rule = get_scoped_or_404(RedactionRule, request.project, pk=pk)
    if request.method != "POST":
        return render(request, "redaction/rule_remove.html", {"rule": rule})
    services.remove_rule(rule, by=request.user, request=request)
    return redirect("redaction:rules")


def _tried(request: ProjectRequest, form: RuleForm) -> str:
    given = form.cleaned_data
    return services.redactor_of(request.project.pk, (given["name"], given["pattern"])).text(given["sample"])


def _add(request: ProjectRequest, form: RuleForm) -> bool:
    name, pattern = form.cleaned_data["name"], form.cleaned_data["pattern"]
    try:
        services.add_rule(request.project, name=name, pattern=pattern, by=request.user, request=request)
    except services.NameTakenError:
        form.add_error("name", TAKEN)
    except services.TooManyRulesError:
        form.add_error(None, TOO_MANY)
    return form.is_valid()
