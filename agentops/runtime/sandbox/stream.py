"""A message as the events of its stream, in pieces, as the Messages API sends them."""

import json
import time
from collections.abc import Iterator
from typing import Any

from agentops.runtime.sandbox.conversation import Block

THINK_S = 0.04
PIECE_S = 0.012
PIECE = 24

Event = dict[str, Any]
# For each kind of block: the field that is sent in pieces, and the delta that carries a piece.
DELTAS = {
    "text": ("text", "text_delta", "text"),
    "thinking": ("thinking", "thinking_delta", "thinking"),
    "tool_use": ("input", "input_json_delta", "partial_json"),
}


def events(message: dict[str, Any]) -> Iterator[Event]:
    """Yield the events of one message."""
    usage = {**message["usage"], "output_tokens": 1}
    yield {"type": "message_start", "message": {**message, "content": [], "stop_reason": None, "usage": usage}}
    yield {"type": "ping"}
    for index, block in enumerate(message["content"]):
        for event in _events_of(block):
            yield {**event, "index": index}
    yield {
        "type": "message_delta",
        "delta": {"stop_reason": message["stop_reason"], "stop_sequence": None},
        "usage": {"output_tokens": message["usage"]["output_tokens"]},
    }
    yield {"type": "message_stop"}


def _events_of(block: Block) -> Iterator[Event]:
    field, delta, name = DELTAS.get(block["type"], ("", "", ""))
    start = {**block, field: {} if field == "input" else ""} if field else block
    start.pop("signature", None)
    yield {"type": "content_block_start", "content_block": start}
    if field:
        value = block[field]
        # A text in place of arguments is sent as it is: that is how a fault makes them no JSON.
        text = value if isinstance(value, str) else json.dumps(value)
        for at in range(0, len(text), PIECE):
            yield {"type": "content_block_delta", "delta": {"type": delta, name: text[at : at + PIECE]}}
    if "signature" in block:
        signed = {"type": "signature_delta", "signature": block["signature"]}
        yield {"type": "content_block_delta", "delta": signed}
    yield {"type": "content_block_stop"}


def encoded(event: Event) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def paced(message: dict[str, Any]) -> Iterator[bytes]:
    """Yield what is sent, as slowly as a fast model speaks."""
    time.sleep(THINK_S)
    for event in events(message):
        if event["type"] == "content_block_delta":
            time.sleep(PIECE_S)
        yield encoded(event)
