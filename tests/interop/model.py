"""A scripted model on a port of this machine, for clients that believe it is OpenAI's or Anthropic's.

It plays one run of two steps: it asks for `get_weather`, is told the result, and answers. Each of its three APIs says
so in its own words; ids are new for each request, as the real ones are.
"""

import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from agentops.runtime.sandbox import stream

TOOL, ARGUMENTS = "get_weather", {"city": "Oslo"}
ASKS, SAYS = "Let me check.", "It is 7C and raining in Oslo."
# Of each request: what went in, how much of it was read from a cache and written to one, and what came out.
INPUT, READ, WRITTEN, OUTPUT = 1521, 1000, 200, 45

Body = dict[str, Any]


def chat_completion(body: Body) -> Body:
    """Answer as OpenAI's Chat Completions."""
    is_told = any(message["role"] == "tool" for message in body["messages"])
    function = {"name": TOOL, "arguments": json.dumps(ARGUMENTS)}
    calls = {"tool_calls": [{"id": _id("call"), "type": "function", "function": function}]}
    return {
        "id": _id("chatcmpl"),
        "object": "chat.completion",
        "created": 1_795_000_000,
        "model": body["model"],
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": SAYS}
                if is_told
                else {"role": "assistant", "content": ASKS} | calls,
                "finish_reason": "stop" if is_told else "tool_calls",
                "logprobs": None,
            }
        ],
        "usage": {
            "prompt_tokens": INPUT,
            "completion_tokens": OUTPUT,
            "total_tokens": INPUT + OUTPUT,
            "prompt_tokens_details": {"cached_tokens": READ},
        },
    }


def chat_chunks(whole: Body) -> Iterator[bytes]:
    """Yield the answer of Chat Completions in parts: a text, a call in two, why it ended, the usage."""
    choice, shared = (
        whole["choices"][0],
        {"id": whole["id"], "object": "chat.completion.chunk", "model": whole["model"]},
    )
    deltas: list[Body] = [{"role": "assistant", "content": choice["message"]["content"]}]
    for call in choice["message"].get("tool_calls", []):
        function = call["function"]
        begun = {**call, "index": 0, "function": {**function, "arguments": ""}}
        deltas += [
            {"tool_calls": [begun]},
            {"tool_calls": [{"index": 0, "function": {"arguments": function["arguments"]}}]},
        ]
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]})
    for one in choices:
        yield _line({**shared, "created": whole["created"], "choices": [one]})
    yield _line({**shared, "created": whole["created"], "choices": [], "usage": whole["usage"]})
    yield b"data: [DONE]\n\n"


def _line(event: Body) -> bytes:
    return f"data: {json.dumps(event)}\n\n".encode()


def response(body: Body) -> Body:
    """Answer as OpenAI's Responses."""
    sent = body["input"] if isinstance(body["input"], list) else []
    is_told = any(item.get("type") == "function_call_output" for item in sent)
    text = {"type": "output_text", "text": SAYS if is_told else ASKS, "annotations": []}
    said = {"type": "message", "id": _id("msg"), "role": "assistant", "status": "completed", "content": [text]}
    call = {
        "type": "function_call",
        "id": _id("fc"),
        "call_id": _id("call"),
        "name": TOOL,
        "arguments": json.dumps(ARGUMENTS),
        "status": "completed",
    }
    return {
        "id": _id("resp"),
        "object": "response",
        "created_at": 1_795_000_000,
        "model": body["model"],
        "status": "completed",
        "output": [said] if is_told else [said, call],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": body.get("tools", []),
        "usage": {
            "input_tokens": INPUT,
            "input_tokens_details": {"cached_tokens": READ, "cache_write_tokens": 0},
            "output_tokens": OUTPUT,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": INPUT + OUTPUT,
        },
    }


def message(body: Body) -> Body:
    """Answer as Anthropic's Messages, which counts the input without what a cache holds."""
    blocks = [
        block for message in body["messages"] if isinstance(message["content"], list) for block in message["content"]
    ]
    is_told = any(block["type"] == "tool_result" for block in blocks)
    call = {"type": "tool_use", "id": _id("toolu"), "name": TOOL, "input": ARGUMENTS}
    return {
        "id": _id("msg"),
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [{"type": "text", "text": SAYS}] if is_told else [{"type": "text", "text": ASKS}, call],
        "stop_reason": "end_turn" if is_told else "tool_use",
        "stop_sequence": None,
        "usage": {
            "input_tokens": INPUT - READ - WRITTEN,
            "cache_read_input_tokens": READ,
            "cache_creation_input_tokens": WRITTEN,
            "output_tokens": OUTPUT,
        },
    }


def message_events(whole: Body) -> Iterator[bytes]:
    return map(stream.encoded, stream.events(whole))


def _id(kind: str) -> str:
    return f"{kind}_{secrets.token_hex(12)}"


APIS = {"/v1/chat/completions": chat_completion, "/v1/responses": response, "/v1/messages": message}
STREAMS = {"/v1/chat/completions": chat_chunks, "/v1/messages": message_events}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        sent = json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
        path = self.path.partition("?")[0]
        if path not in APIS:
            self.send_error(404)
            return
        kind, data = "application/json", json.dumps(whole := APIS[path](sent)).encode()
        if sent.get("stream"):
            kind, data = "text/event-stream", b"".join(STREAMS[path](whole))
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def scripted_model() -> Iterator[str]:
    """Serve while the block runs; gives the address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
