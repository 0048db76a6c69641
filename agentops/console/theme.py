"""The theme that a person chose, remembered in a cookie; without one the system's theme holds."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from agentops.web.templatetags.look import THEMES

YEAR_S = 365 * 86_400


@require_POST
def set_theme(request: HttpRequest) -> HttpResponse:
    chosen = request.POST.get("theme", "")
    after = request.POST.get("next", "")
    response = redirect(after if url_has_allowed_host_and_scheme(after, allowed_hosts=None) else "/")
    if chosen in THEMES:
        response.set_cookie("theme", chosen, max_age=YEAR_S, samesite="Lax", secure=request.is_secure())
    else:
        response.delete_cookie("theme", samesite="Lax")
    return response
