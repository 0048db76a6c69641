"""The browsable API document, drawn from local files."""

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from agentops.accounts.request import ProjectRequest


@require_safe
def docs(request: ProjectRequest) -> HttpResponse:
    return render(request, "console/docs.html")
