"""How a view answers with a page, or with one part of it when htmx asks."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers


def render_page(
    request: HttpRequest, template: str, context: dict[str, Any], *, partial: str = "", status: int = 200
) -> HttpResponse:
    """Render the page; for an htmx request only its part `partial`, which the view names and never the client.

    A page that the browser restores from its history is rendered whole, whoever asks.
    """
    if partial and is_part_wanted(request):
        template = f"{template}#{partial}"
    response = render(request, template, context, status=status)
    patch_vary_headers(response, ["HX-Request"])
    return response


def is_part_wanted(request: HttpRequest) -> bool:
    """Say whether htmx asks for a part of the page."""
    htmx = getattr(request, "htmx", None)
    return htmx is not None and bool(htmx) and not htmx.history_restore_request
