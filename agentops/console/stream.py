"""The one stream of a browser: `GET /stream`, served by the asynchronous side of the same port (asgi.py)."""

from django.http import HttpRequest, StreamingHttpResponse
from django.views.decorators.http import require_GET

from agentops.web.stream import events


@require_GET
async def stream(request: HttpRequest) -> StreamingHttpResponse:
    project = request.project.pk.hex  # type: ignore[attr-defined]
    return StreamingHttpResponse(
        events(project),
        content_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )
