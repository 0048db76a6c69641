"""The one stream of a browser: `GET /stream`, served by the asynchronous side of the same port (asgi.py)."""

from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_GET

from agentops.web.problems import problem
from agentops.web.stream import events, listener


@require_GET
async def stream(request: HttpRequest) -> HttpResponseBase:
    if listener.is_full:
        # The browser asks again by itself; its page works without.
        return problem(503, detail="Too many pages are open here.", headers={"Retry-After": "30"})
    project = request.project.pk.hex  # type: ignore[attr-defined]
    return StreamingHttpResponse(
        events(project),
        content_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )
