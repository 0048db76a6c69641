"""What an error says: a page in words with the request's id for people, a problem document for programs."""

from http import HTTPStatus

import structlog
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from agentops.web.problems import NOT_FOUND, is_machine, problem

WORDS = {
    400: ("This request cannot be read", "Something in the address or the form is not what this page takes."),
    403: ("This is not yours to do", "Your role in this project does not allow it. An admin can change your role."),
    404: ("Nothing is here", "The address is wrong, or what it names is gone or belongs to another project."),
    500: ("This failed on our side", "The fault was written to the log under the number below. Nothing was changed."),
    503: ("The database does not answer", "This page works again as soon as it does. Nothing acknowledged is lost."),
}


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    if isinstance(exception, DisallowedHost):
        words = "This server does not go by that name. Whoever runs it names its address in AGENTOPS_PUBLIC_URL."
        return problem(400, detail=words) if is_machine(request) else problem_page(request, 400, words)
    return _answer(request, 400, "The request cannot be read.")


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _answer(request, 403, str(exception or ""))


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _answer(request, 404, NOT_FOUND)


def server_error(request: HttpRequest) -> HttpResponse:
    return _answer(request, 500, "The fault was written to the log.")


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return _answer(request, 403, "The form is too old or came from another site. Open the page again and repeat it.")


def _answer(request: HttpRequest, status: int, detail: str) -> HttpResponse:
    if is_machine(request):
        return problem(status, detail=detail)
    return problem_page(request, status, detail if status == HTTPStatus.FORBIDDEN else "")


def problem_page(request: HttpRequest, status: int, detail: str = "") -> HttpResponse:
    """Render the page of an error. From 500 on it asks nothing of the database: that may be what failed.

    Its number leads to the log; a 404 has none, because what is foreign and what never was must look the same.
    """
    title, words = WORDS[status]
    is_numbered = status != HTTPStatus.NOT_FOUND
    context = {
        "status": status,
        "title": title,
        "words": detail or words,
        "request_id": structlog.contextvars.get_contextvars().get("request_id", "") if is_numbered else "",
    }
    template = "errors/plain.html" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "errors/problem.html"
    return render(request, template, context, status=status)
