"""Pages that belong to no room: the sheet of components, the theme, and what an error says."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_POST

from agentops.web.sample import sheet_context

YEAR_S = 365 * 86_400


@require_GET
@login_required
def components(request: HttpRequest) -> HttpResponse:
    """Show every part of the design once: the living style guide."""
    return render(request, "console/components.html", sheet_context())


@require_POST
def set_theme(request: HttpRequest) -> HttpResponse:
    """Remember the theme that was chosen, in a cookie; without one the system's theme holds."""
    chosen = request.POST.get("theme", "")
    target = request.POST.get("next", "/")
    if not url_has_allowed_host_and_scheme(target, allowed_hosts=None):
        target = "/"
    response = redirect(target)
    if chosen in ("light", "dark"):
        response.set_cookie("theme", chosen, max_age=YEAR_S, samesite="Lax", secure=request.is_secure())
    else:
        response.delete_cookie("theme", samesite="Lax")
    return response
