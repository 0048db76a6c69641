"""The words of ASGI, for the server's door and for what answers behind it."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from django.http import HttpResponse

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Coroutine[Any, Any, None]]
Handler = Callable[[Scope, Receive, Send], Awaitable[None]]


def as_messages(response: HttpResponse) -> list[Message]:
    """Return a whole response in the words of ASGI."""
    headers = [(name.lower().encode(), value.encode()) for name, value in response.items()]
    return [
        {"type": "http.response.start", "status": response.status_code, "headers": headers},
        {"type": "http.response.body", "body": response.content},
    ]


def closing(send: Send) -> Send:
    """Say with the answer that it is the last one on its connection."""

    async def last(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
        await send(message)

    return last
