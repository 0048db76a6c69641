"""How a model goes wrong: each fault is one function, named as the control call names it.

`PUT /v1/faults` with `{"faults": [{"kind": "rate_limited", "retry_after": "2", "times": 1}]}`, or the header
`x-sandbox-fault: rate_limited` of one request.
"""

import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from agentops.runtime.sandbox.server import Handler, RefusedError
from agentops.runtime.sandbox.stream import encoded, events, paced

Message = dict[str, Any]
Spec = dict[str, Any]
CUT_AFTER = 5


def _status(status: int, kind: str) -> Callable[[Handler, Message, Spec], None]:
    def refuse(handler: Handler, _: Message, spec: Spec) -> None:
        names = {"retry_after": "retry-after", "should_retry": "x-should-retry"}
        headers = {header: str(spec[name]) for name, header in names.items() if name in spec}
        handler.refuse(RefusedError(status, kind, f"scripted: {kind}"), headers)

    return refuse


def html_502(handler: Handler, _: Message, _spec: Spec) -> None:
    handler.answer(502, "<html><h1>502 Bad Gateway</h1></html>")


def drop(handler: Handler, _: Message, _spec: Spec) -> None:
    handler.reset()


def stall(handler: Handler, message: Message, spec: Spec) -> None:
    """Begin to answer, then say nothing for a while."""

    def parts() -> Iterator[bytes]:
        yield from map(encoded, islice(events(message), CUT_AFTER))
        time.sleep(float(spec.get("delay_s", 30)))

    handler.stream(parts())


def drip(handler: Handler, _: Message, spec: Spec) -> None:
    """Never end, and never be silent long enough to be called silent."""

    def parts() -> Iterator[bytes]:
        end = time.monotonic() + float(spec.get("delay_s", 30))
        while time.monotonic() < end:
            yield encoded({"type": "ping"})
            time.sleep(0.05)

    handler.stream(parts())


def cut(handler: Handler, message: Message, _: Spec) -> None:
    """End half way, where the end of the connection is the end of the body: nothing says that it was cut."""
    handler.stream(map(encoded, islice(events(message), CUT_AFTER)), is_chunked=False)
    handler.close_connection = True


def cut_chunked(handler: Handler, message: Message, _: Spec) -> None:
    def parts() -> Iterator[bytes]:
        yield from map(encoded, islice(events(message), CUT_AFTER))
        handler.wfile.flush()
        handler.close_connection = True
        handler.connection.close()
        raise ConnectionAbortedError

    handler.stream(parts())


def error_event(handler: Handler, message: Message, spec: Spec) -> None:
    """Say in the middle of a good answer that it will not be finished."""
    kind = str(spec.get("error", "overloaded_error"))

    def parts() -> Iterator[bytes]:
        yield from map(encoded, islice(events(message), CUT_AFTER))
        yield encoded({"type": "error", "error": {"type": kind, "message": f"scripted: {kind}"}})

    handler.stream(parts())


def _changed(change: Callable[[Message], Message]) -> Callable[[Handler, Message, Spec], None]:
    return lambda handler, message, _: handler.stream(paced(change(message)))


def _bad_json(message: Message) -> Message:
    call = {"type": "tool_use", "id": "toolu_bad", "name": "get_order", "input": '{"order_id": [1001}'}
    return {**message, "content": [call], "stop_reason": "tool_use"}


def _unknown_block(message: Message) -> Message:
    return {**message, "content": [{"type": "hologram", "light": 3}, *message["content"]]}


def _no_call(message: Message) -> Message:
    return {**message, "content": [{"type": "text", "text": "I call a tool."}], "stop_reason": "tool_use"}


def _same_ids(message: Message) -> Message:
    call = {"type": "tool_use", "id": "toolu_same", "name": "get_order", "input": {"order_id": 1001}}
    return {**message, "content": [call, call], "stop_reason": "tool_use"}


FAULTS: dict[str, Callable[[Handler, Message, Spec], None]] = {
    "rate_limited": _status(429, "rate_limit_error"),
    "overloaded": _status(529, "overloaded_error"),
    "server_error": _status(500, "api_error"),
    "bad_request": _status(400, "invalid_request_error"),
    "unauthorized": _status(401, "authentication_error"),
    "html_502": html_502,
    "drop": drop,
    "stall": stall,
    "drip": drip,
    "cut": cut,
    "cut_chunked": cut_chunked,
    "error_event": error_event,
    "bad_tool_json": _changed(_bad_json),
    "unknown_block": _changed(_unknown_block),
    "unknown_stop": _changed(lambda message: {**message, "stop_reason": "tired"}),
    "max_tokens": _changed(lambda message: {**message, "stop_reason": "max_tokens"}),
    "no_call": _changed(_no_call),
    "same_ids": _changed(_same_ids),
}
