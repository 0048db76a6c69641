"""`Idempotency-Key`: an unsafe API call that is repeated with its key is answered as before, and done once.

The effects of the call and the record of its answer are one transaction: after a crash there are both or neither.
"""

import re
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from hashlib import blake2b, sha256
from typing import Any, cast

from django.db import connection, transaction
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from agentops.accounts.models import AnsweredCall

KEPT = timedelta(hours=24)
HEADER = "Idempotency-Key"
PARAMETER = OpenApiParameter(
    HEADER, str, OpenApiParameter.HEADER, description="same key and body: same answer, for 24 h"
)
SERVER_ERROR = 500

Handler = Callable[..., HttpResponseBase]
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class StillRunningError(APIException):
    status_code = 409
    default_detail = "A call with this Idempotency-Key is still running; ask again in a moment."


class OtherBodyError(APIException):
    status_code = 422
    default_detail = "This Idempotency-Key was used for another call or another body."


def idempotent(handler: Handler) -> Handler:
    """Let a method of an API view take `Idempotency-Key`. Without the header nothing changes."""

    @wraps(handler)
    def guarded(view: Any, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        key = key_of(request)
        if key is None:
            return handler(view, request, *args, **kwargs)
        return _once(view, request._request, key, lambda: handler(view, request, *args, **kwargs))

    return guarded


def key_of(request: Request) -> str | None:
    """Return the key that a call carries, or None. Raises ValidationError for one that is none."""
    key = request.headers.get(HEADER)
    if key is not None and not _KEY.fullmatch(key):
        raise ValidationError({HEADER: "1 to 255 visible ASCII characters"})
    return key


def caller_of(asked: HttpRequest) -> str:
    """Name who calls: two callers who choose the same key do not mean the same call."""
    api_key = asked.api_key  # type: ignore[attr-defined]
    return f"key:{api_key.pk}" if api_key is not None else f"user:{asked.user.pk}"


@transaction.atomic
def _once(view: Any, asked: HttpRequest, key: str, handle: Callable[[], HttpResponseBase]) -> HttpResponseBase:
    project, caller = asked.project, caller_of(asked)  # type: ignore[attr-defined]
    if not _is_mine(f"{project.pk} {caller} {key}"):
        raise StillRunningError
    asked_for = sha256(f"{asked.method} {asked.get_full_path()}\n".encode() + asked.body).digest()
    mine = AnsweredCall.objects.of(project).filter(caller=caller, key=key)
    known = mine.filter(answered_at__gt=Now() - KEPT).first()
    if known is not None:
        return _again(known, asked_for)
    answer = _handled(view, handle)
    status, body = answer.status_code, _body(answer)
    if status >= SERVER_ERROR:
        transaction.set_rollback(True)
        return answer
    mine.delete()
    kept = {"request_hash": asked_for, "status": status, "content_type": _content_type(answer), "body": body}
    AnsweredCall.objects.create(project=project, caller=caller, key=key, **kept)
    return answer


def _is_mine(name: str) -> bool:
    """Take the lock on a key until the transaction ends; False while another call holds it."""
    number = int.from_bytes(blake2b(name.encode(), digest_size=8, person=b"idempotency").digest(), signed=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [number])
        return bool(cursor.fetchone()[0])


def _again(known: AnsweredCall, asked_for: bytes) -> HttpResponse:
    if bytes(known.request_hash) != asked_for:
        raise OtherBodyError
    headers = {"Idempotency-Replayed": "true"}
    return HttpResponse(bytes(known.body), status=known.status, content_type=known.content_type, headers=headers)


def _handled(view: Any, handle: Callable[[], HttpResponseBase]) -> HttpResponse:
    """Return the answer, a refusal too: what was refused once is refused again. What nobody foresaw is raised."""
    try:
        with transaction.atomic():
            answer: Any = handle()
    except Exception as error:
        answer = view.handle_exception(error)
    return cast("HttpResponse", answer)


def _body(answer: HttpResponse) -> bytes:
    return JSONRenderer().render(answer.data) if isinstance(answer, Response) else bytes(answer.content)


def _content_type(answer: HttpResponse) -> str:
    return JSONRenderer.media_type if isinstance(answer, Response) else str(answer.headers["Content-Type"])
