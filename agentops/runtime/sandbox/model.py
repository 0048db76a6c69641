"""The Messages API: answers as a scripted model does, from the conversation alone."""

import json
import secrets
from typing import Any

from agentops.runtime.sandbox.conversation import Conversation, Turn, say
from agentops.runtime.sandbox.faults import FAULTS
from agentops.runtime.sandbox.protocol import check
from agentops.runtime.sandbox.scenarios import DEFAULT, scenarios
from agentops.runtime.sandbox.server import Handler, RefusedError, Route, put_faults
from agentops.runtime.sandbox.stream import paced

# What traces show as the model's name: nobody shall take a script for a model.
MODEL = "simulated"
SCENARIO_HEADER = "x-agentops-scenario"
FAULT_HEADER = "x-sandbox-fault"
CHARACTERS_A_TOKEN = 4


def messages(handler: Handler) -> None:
    """Answer with the next turn of the scenario that the request names."""
    body = _body(handler)
    check(body)
    message = _message(_turn(handler, body), body)
    fault = {"kind": handler.headers.get(FAULT_HEADER)}
    if not fault["kind"]:
        fault = handler.state.take_fault("model", body.get("metadata", {}).get("user_id"))
    if kind := fault.get("kind"):
        if kind not in FAULTS:
            raise RefusedError(400, "invalid_request_error", f"{FAULT_HEADER}: there is no fault {kind}")
        FAULTS[kind](handler, message, fault)
    elif body.get("stream"):
        handler.stream(paced(message))
    else:
        handler.answer(200, message, {"request-id": "req_sandbox"})


def count_tokens(handler: Handler) -> None:
    body = _body(handler)
    check(body, is_count=True)
    handler.answer(200, {"input_tokens": _tokens([body.get("system"), body.get("tools"), body["messages"]])})


def models(handler: Handler) -> None:
    """List what a script can be called."""
    _authorize(handler)
    one = {"type": "model", "id": MODEL, "display_name": "Simulated", "created_at": "2026-01-01T00:00:00Z"}
    handler.answer(200, {"data": [one], "has_more": False, "first_id": MODEL, "last_id": MODEL})


def _body(handler: Handler) -> dict[str, Any]:
    _authorize(handler)
    if not handler.headers.get("anthropic-version"):
        raise RefusedError(400, "invalid_request_error", "anthropic-version: header is required")
    return handler.json()


def _authorize(handler: Handler) -> None:
    bearer = handler.headers.get("Authorization", "").removeprefix("Bearer ").strip()
    if not (bearer or handler.headers.get("x-api-key")):
        raise RefusedError(401, "authentication_error", "a key is required; any will do")


def _turn(handler: Handler, body: dict[str, Any]) -> Turn:
    name = handler.headers.get(SCENARIO_HEADER) or DEFAULT
    play = scenarios().get(name)
    if play is None:
        there = ", ".join(scenarios())
        raise RefusedError(400, "invalid_request_error", f"there is no scenario {name}; there are {there}")
    talk = Conversation(body["messages"])
    return play(talk) if body.get("tools") else _summary(talk)


def _summary(talk: Conversation) -> Turn:
    """Answer a request without tools, which can only want words: what was asked, and what was done."""
    done = [
        f"{done.name} {json.dumps(done.arguments)}: {'done' if done.is_well else done.reason}" for done in talk.done
    ]
    return say("\n".join([f"Summary. Asked: {talk.asked[:400]}", *done[-20:]]))


def _message(turn: Turn, body: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"msg_{secrets.token_hex(12)}",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": turn.blocks,
        "stop_reason": turn.stop_reason,
        "stop_sequence": None,
        "usage": {**_input_usage(body), "output_tokens": _tokens(turn.blocks)},
    }


def _input_usage(body: dict[str, Any]) -> dict[str, int]:
    """Count as the API does: what the last turn has sent is read from the cache, where the request asks for one."""
    prefix = [body.get("system"), body.get("tools"), body["messages"][:-2]]
    whole, cached = _tokens([*prefix, body["messages"][-2:]]), 0
    if body.get("cache_control") and len(body["messages"]) > 1:
        cached = min(_tokens(prefix), whole)
    written = whole - cached if body.get("cache_control") else 0
    return {
        "input_tokens": whole - cached - written,
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": written,
    }


def _tokens(value: Any) -> int:
    return max(len(json.dumps(value)) // CHARACTERS_A_TOKEN, 1)


ROUTES: dict[tuple[str, str], Route] = {
    ("POST", "/v1/messages"): messages,
    ("POST", "/v1/messages/count_tokens"): count_tokens,
    ("GET", "/v1/models"): models,
    ("PUT", "/v1/faults"): put_faults("model", frozenset(FAULTS)),
}
