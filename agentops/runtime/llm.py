"""One question to the model, through the Anthropic SDK: an answer that can be trusted to be whole, or a ModelError.

Nothing is tried again here: the caller journals, waits and asks again. Without a key, or for a named scenario, the
sandbox answers.
"""

import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from agentops.env import Env, read_env
from traces.ingest.cost import Tokens, price

if TYPE_CHECKING:
    from anthropic import Anthropic
    from anthropic.lib.streaming import MessageStream
    from anthropic.types import Message

CONNECT_S = 5.0
SILENCE_S = 60.0  # between two parts of an answer
TOTAL_S = 180.0  # for the whole of it: the SDK knows no such limit
RETRY_AFTER_MAX_S = 60.0
OFFICIAL = "https://api.anthropic.com"
SCENARIO_HEADER = "x-agentops-scenario"
# The blocks we know, with the fields that the API takes back: the SDK adds others of its own, which it refuses.
BLOCK_FIELDS = {
    "text": ("type", "text"),
    "thinking": ("type", "thinking", "signature"),
    "redacted_thinking": ("type", "data"),
    "tool_use": ("type", "id", "name", "input"),
}
# What ends a request for good; everything else may go better the next time.
PASSING_STATUS = frozenset({408, 409, 429})
PASSING_TYPES = frozenset({"overloaded_error", "rate_limit_error", "api_error", "timeout_error"})


class Request(msgspec.Struct, frozen=True, kw_only=True):
    model: str
    system: str
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] = []
    max_tokens: int = 4096
    run_id: str = ""
    scenario: str | None = None


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    input_tokens: int  # all that went in, the cached ones too
    output_tokens: int
    cached_tokens: int


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer. Its blocks go into the next request as they are, so that signatures of thoughts survive.

    Calls are in it only when the model stopped for them (`stop_reason` "tool_use"): others may be cut short.
    """

    content: list[dict[str, Any]]
    stop_reason: str
    usage: Usage
    model: str
    simulated: bool
    cost_usd: Decimal | None


class ModelError(Exception):
    """Raised when there is no answer that can be used. A fatal one will not go better the next time."""

    def __init__(self, message: str, *, retry_after_s: float | None = None, is_fatal: bool = False) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.is_fatal = is_fatal


def is_simulated(scenario: str | None = None) -> bool:
    """Say whether a script answers in place of a model."""
    return scenario is not None or not read_env().anthropic_api_key


def answer(request: Request, on_text: Callable[[str], None] | None = None) -> Answer:
    """Ask once and return the whole answer; `on_text` is given its text as it comes. Raises ModelError.

    Takes no longer than TOTAL_S, and SILENCE_S before the first word.
    """
    import anthropic
    import httpx2

    env = read_env()
    simulated = is_simulated(request.scenario)
    client = _client_for(env, simulated=simulated)
    try:
        with client.messages.stream(**_arguments(request, simulated=simulated)) as stream:
            message = _read(stream, on_text)
    except anthropic.APIStatusError as error:
        raise _refused(error) from error
    except (anthropic.APIError, httpx2.HTTPError, httpx2.StreamError, ValueError) as error:
        # ValueError: arguments of a call, or an event, that are no JSON.
        raise ModelError(f"the model's answer broke off: {_words(error)}") from error
    return _checked(message, request, simulated=simulated)


def _client_for(env: Env, *, simulated: bool) -> "Anthropic":
    if not simulated:
        return _client(env.anthropic_base_url or OFFICIAL, env.anthropic_api_key)
    if not env.agentops_sandbox_url:
        message = "There is no model: neither ANTHROPIC_API_KEY nor AGENTOPS_SANDBOX_URL is set."
        raise ModelError(message, is_fatal=True)
    return _client(env.agentops_sandbox_url, "sandbox")


@cache
def _client(base_url: str, key: str) -> "Anthropic":
    """Return this process's client. The SDK is imported here because it takes tens of megabytes."""
    import anthropic

    timeout = anthropic.Timeout(SILENCE_S, connect=CONNECT_S)
    # Spans of the SDK would be a second story beside the run's own trace.
    return anthropic.Anthropic(api_key=key, base_url=base_url, timeout=timeout, max_retries=0, open_telemetry=False)


# A connection is not shared with a child.
os.register_at_fork(after_in_child=_client.cache_clear)


def _arguments(request: Request, *, simulated: bool) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "model": request.model,
        "messages": request.messages,
        "max_tokens": request.max_tokens,
        # Everything that was sent before is read from the cache by the next turn.
        "cache_control": {"type": "ephemeral"},
    }
    if request.system:
        arguments["system"] = request.system
    if request.tools:
        arguments["tools"] = request.tools
    if request.run_id:
        arguments["metadata"] = {"user_id": request.run_id}
    if simulated and request.scenario:
        arguments["extra_headers"] = {SCENARIO_HEADER: request.scenario}
    return arguments


def _read(stream: "MessageStream[None]", on_text: Callable[[str], None] | None) -> "Message":
    """Read to the end, within TOTAL_S. Raises ModelError for an answer that was cut."""
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        _break_off(stream)

    watch = threading.Timer(TOTAL_S, expire)
    watch.daemon = True
    watch.start()
    try:
        message = _drain(stream, on_text)
    except Exception as error:
        if expired.is_set():
            raise ModelError(f"the model did not finish within {TOTAL_S:.0f} s") from error
        if isinstance(error, AssertionError):  # the SDK's word for a stream without a message
            raise ModelError("the model's answer was empty") from error
        raise
    finally:
        watch.cancel()
    if expired.is_set():
        raise ModelError(f"the model did not finish within {TOTAL_S:.0f} s")
    return message


def _drain(stream: "MessageStream[None]", on_text: Callable[[str], None] | None) -> "Message":
    """Read to the end. Raises ValueError for arguments that are no JSON: the SDK mends them silently."""
    arguments: dict[int, str] = {}
    for event in stream:
        if on_text and event.type == "text":
            on_text(event.text)
        elif event.type == "content_block_delta" and event.delta.type == "input_json_delta":
            arguments[event.index] = arguments.get(event.index, "") + event.delta.partial_json
    for text in arguments.values():
        msgspec.json.decode(text or "{}")
    return stream.get_final_message()


def _break_off(stream: "MessageStream[None]") -> None:
    """End the connection under a read that waits in another thread: closing alone would not wake it."""
    line = stream.response.extensions["network_stream"].get_extra_info("socket")
    with suppress(OSError):  # it may have ended by itself
        line.shutdown(socket.SHUT_RDWR)


def _refused(error: Any) -> ModelError:
    """Judge an error of the API. One that comes within a stream has the status 200, and its type says what it is."""
    status, kind = error.status_code, error.type
    is_passing = kind in PASSING_TYPES if status < 400 else status in PASSING_STATUS or status >= 500
    headers = error.response.headers
    if status >= 400 and headers.get("x-should-retry") in {"true", "false"}:
        is_passing = headers["x-should-retry"] == "true"
    retry_after_s = _retry_after_s(headers) if is_passing else None
    return ModelError(f"the model refused: {_words(error)}", retry_after_s=retry_after_s, is_fatal=not is_passing)


def _retry_after_s(headers: Any) -> float | None:
    """Return how long we are asked to wait, never longer than a minute: a header must not stop a worker."""
    for name, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            seconds = float(headers[name]) / unit
        except (KeyError, ValueError):
            continue
        if seconds >= 0:
            return min(seconds, RETRY_AFTER_MAX_S)
    return None


def _words(error: Exception) -> str:
    """Say what went wrong in one line: the API's own words where it said any."""
    text = getattr(error, "api_message", None) or str(error)
    return " ".join(text.split())[:300] or type(error).__name__


def _checked(message: "Message", request: Request, *, simulated: bool) -> Answer:
    """Return the answer if it is one that the API could have meant. Raises ModelError."""
    if message.stop_reason is None:
        raise ModelError("the model's answer was cut")
    unknown = {block.type for block in message.content} - set(BLOCK_FIELDS)
    if unknown:
        raise ModelError(f"the model's answer has blocks of an unknown kind: {', '.join(sorted(unknown))}")
    content = [{name: getattr(block, name) for name in BLOCK_FIELDS[block.type]} for block in message.content]
    if message.stop_reason == "tool_use":
        _check_calls([block for block in content if block["type"] == "tool_use"], request.messages)
    else:
        content = [block for block in content if block["type"] != "tool_use"]
    used = message.usage
    cached, written = used.cache_read_input_tokens or 0, used.cache_creation_input_tokens or 0
    tokens = Tokens(used.input_tokens + cached + written, used.output_tokens, cached, written)
    return Answer(
        content=content,
        stop_reason=message.stop_reason,
        usage=Usage(input_tokens=tokens.input, output_tokens=tokens.output, cached_tokens=cached),
        model=message.model,
        simulated=simulated,
        cost_usd=Decimal(0) if simulated else _cost_usd(message.model, tokens),
    )


def _cost_usd(model: str, tokens: Tokens) -> Decimal | None:
    return price(model, tokens, provider="anthropic", at=datetime.now(UTC))


def _check_calls(calls: list[dict[str, Any]], messages: list[dict[str, Any]]) -> None:
    if not calls:
        raise ModelError("the model stopped for a tool and named none")
    before = {
        block.get("id")
        for message in messages
        if isinstance(message["content"], list)
        for block in message["content"]
        if block.get("type") == "tool_use"
    }
    ids = [call["id"] for call in calls]
    if len(set(ids)) < len(ids) or before & set(ids):
        raise ModelError("the model gave two calls the same id")
    if not all(isinstance(call["input"], dict) for call in calls):
        raise ModelError("the model gave arguments that are no object")
