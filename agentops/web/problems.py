"""Errors of the API as problem documents (RFC 9457), from plain views and from Django REST framework alike."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils.cache import patch_vary_headers
from rest_framework import exceptions
from rest_framework.utils.encoders import JSONEncoder

MEDIA_TYPE = "application/problem+json"
# What programs call; everything else is a page. A program is answered 401, a person is sent to sign in.
MACHINE_PATHS = ("/api/", "/v1/", "/healthz/", "/metrics")
PAGES_AMONG_THEM = ("/api/docs",)
NOT_FOUND = "Nothing is here."
UNAVAILABLE = "The database does not answer; try again."


def is_machine(request: HttpRequest) -> bool:
    return request.path_info.startswith(MACHINE_PATHS) and request.path_info not in PAGES_AMONG_THEM


def problem(
    status: int,
    title: str = "",
    detail: str = "",
    errors: Iterable[Mapping[str, Any]] = (),
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> JsonResponse:
    """Return a problem document; `errors` are `{"pointer", "detail"}`, pointers as in RFC 6901.

    `more` are members of its own that a problem has beside the usual ones.
    """
    body: dict[str, Any] = {"type": "about:blank", "title": title or HTTPStatus(status).phrase, "status": status}
    body |= more
    if detail:
        body["detail"] = detail
    if listed := list(errors):
        body["errors"] = listed
    response = JsonResponse(body, JSONEncoder, status=status, content_type=MEDIA_TYPE, headers=headers)
    if status == HTTPStatus.UNAUTHORIZED:
        response["WWW-Authenticate"] = 'Bearer realm="agentops"'
        patch_vary_headers(response, ["Cookie", "Authorization"])
    return response


def unavailable(detail: str = UNAVAILABLE) -> JsonResponse:
    return problem(503, detail=detail, headers={"Retry-After": "2"})


def exception_handler(exc: Exception, context: Mapping[str, Any]) -> HttpResponse | None:
    """Turn what a DRF view raises into a problem document; what nobody foresaw goes on to become a 500."""
    if isinstance(exc, Http404):
        return problem(404, detail=NOT_FOUND)
    if isinstance(exc, PermissionDenied):
        return problem(403, detail=str(exc))
    if isinstance(exc, exceptions.ValidationError):
        return problem(exc.status_code, detail="The request has faults.", errors=list(_pointers(exc.detail)))
    if not isinstance(exc, exceptions.APIException):
        return None
    wait = getattr(exc, "wait", None)
    headers = {} if wait is None else {"Retry-After": str(wait)}
    return problem(exc.status_code, detail=str(exc.detail), headers=headers)


def _pointers(detail: Any, at: str = "") -> Iterable[dict[str, str]]:
    if isinstance(detail, Mapping):
        for key, below in detail.items():
            step = "" if key == "non_field_errors" else "/" + str(key).replace("~", "~0").replace("/", "~1")
            yield from _pointers(below, at + step)
    elif isinstance(detail, list | tuple):
        for index, below in enumerate(detail):
            nested = isinstance(below, Mapping | list | tuple)
            yield from _pointers(below, f"{at}/{index}" if nested else at)
    else:
        yield {"pointer": at, "detail": str(detail)}
