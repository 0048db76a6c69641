"""Realistic batches of 512 spans, as native steps and as OTLP, made once and sent again and again under new ids."""

import json
import os
import random
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

TRACES, STEPS = 16, 32
BATCH = TRACES * STEPS
PLACE = "trace-place-{:04d}"  # 16 bytes, as long as an OTLP trace id
IDS = "ids-of-one-batch"  # within the ids of calls and answers
SYLLABLES = re.findall("..", "anbecodielfigahoinjokalominoorpequirasotiumvewoxiyazo")
# Of words, summed up, by Zipf's law: a run of 50 kB has about 20 different ones in each, as recorded runs have.
FREQUENCIES = list(accumulate(1 / rank**1.2 for rank in range(1, 4_001)))
PARAMETERS = {"type": "object", "properties": {"query": {"type": "string"}, "limit": {"type": "integer"}}}
TOOLS = [
    {"name": name, "schema": PARAMETERS, "risk": risk}
    for name, risk in (("search_orders", "low"), ("get_customer", "low"), ("update_ticket", "medium"))
]
FUNCTIONS = [{"type": "function", "name": tool["name"], "parameters": PARAMETERS} for tool in TOOLS]


class Form(NamedTuple):
    """How a batch is sent: the body with places for ids, and where it goes."""

    template: Callable[[], bytes]
    path: str
    content_type: str


def words_of(rng: random.Random) -> list[str]:
    return ["".join(rng.choices(SYLLABLES, k=rng.randint(1, 4))) for _ in FREQUENCIES]


def prose(rng: random.Random, words: list[str], length: int) -> str:
    return " ".join(rng.choices(words, cum_weights=FREQUENCIES[: len(words)], k=length // 6))[:length]


def native(seed: int = 1) -> bytes:
    """Return the body of a batch of native steps."""
    rng = random.Random(seed)
    words = words_of(rng)
    began = datetime.now(UTC) - timedelta(seconds=STEPS)
    steps = [step(rng, words, trace, number, began) for trace in range(TRACES) for number in range(1, STEPS + 1)]
    return json.dumps({"steps": steps}).encode()


def step(rng: random.Random, words: list[str], trace: int, number: int, began: datetime) -> dict[str, Any]:
    """Return one step: model answers of about 2 kB, tool calls with arguments and a result, in turn."""
    sent: dict[str, Any] = {
        "trace_id": PLACE.format(trace),
        "session_id": f"session-{trace}",
        "step_number": number,
        "timestamp": (began + timedelta(seconds=number)).isoformat(),
        "agent": "support-desk",
        "duration_ms": rng.randint(20, 4_000),
        "metadata": {"attempt": 1, "region": "eu"},
    }
    if number % 2:
        sent |= {"event_type": "model_response", "model": "a-model-1", "text": prose(rng, words, 2_000)}
        sent |= {"input_tokens": rng.randint(500, 9_000), "output_tokens": rng.randint(50, 700), "cost_usd": 0.0123}
    else:
        rows = [{"id": rng.randint(1, 10**6), "note": prose(rng, words, 150)} for _ in range(8)]
        query = {"query": prose(rng, words, 60), "limit": rng.randint(1, 50)}
        sent |= {"event_type": "tool_call", "tool_name": "search_orders", "tool_input": query, "tool_output": rows}
    if number == 1:
        sent |= {"tools": TOOLS, "trace_name": prose(rng, words, 40)}
    return sent


def otlp(seed: int = 1) -> bytes:
    """Return the body of a batch of OTLP spans, after the conventions for generative AI: the same runs as `native`."""
    rng = random.Random(seed)
    words = words_of(rng)
    began = datetime.now(UTC) - timedelta(seconds=STEPS)
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    set_attributes(group.resource, {"service.name": "support-desk", "deployment.environment.name": "bench"})
    part = group.scope_spans.add()
    part.scope.name = "bench"
    for trace in range(TRACES):
        spans = [part.spans.add() for _ in range(STEPS)]
        for number, span in enumerate(spans):
            span.trace_id = PLACE.format(trace).encode()
            span.span_id = number.to_bytes(8, "big", signed=False) if number else b"rootspan"
            span.parent_span_id = b"rootspan" if number else b""
            span.start_time_unix_nano = int((began + timedelta(seconds=number)).timestamp() * 1e9)
            span.end_time_unix_nano = span.start_time_unix_nano + rng.randint(20, 900) * 1_000_000
            span.name, attributes = span_of(rng, words, trace, number)
            set_attributes(span, {"gen_ai.conversation.id": f"session-{trace}"} | attributes)
    body: bytes = request.SerializeToString()
    return body


def span_of(rng: random.Random, words: list[str], trace: int, number: int) -> tuple[str, dict[str, Any]]:
    """Return name and attributes of a span: the agent's, then answers of a model and the calls that they ask for."""
    if number == 0:
        return "invoke_agent", {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "support-desk"}
    call = f"call-{IDS}-{trace}-{(number + 1) // 2}"
    query = {"query": prose(rng, words, 60), "limit": rng.randint(1, 50)}
    if number % 2 == 0:
        rows = [{"id": rng.randint(1, 10**6), "note": prose(rng, words, 150)} for _ in range(8)]
        return "execute_tool search_orders", {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "search_orders",
            "gen_ai.tool.call.id": call,
            "gen_ai.tool.call.arguments": json.dumps(query),
            "gen_ai.tool.call.result": json.dumps(rows),
        }
    said = [
        {"type": "text", "content": prose(rng, words, 2_000)},
        {"type": "tool_call", "id": call, "name": "search_orders", "arguments": query},
    ]
    asked = [{"role": "user", "parts": [{"type": "text", "content": prose(rng, words, 500)}]}]
    return "chat a-model-1", {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "a-provider",
        "gen_ai.request.model": "a-model-1",
        "gen_ai.response.model": "a-model-1",
        "gen_ai.response.id": f"answer-{IDS}-{trace}-{number}",
        "gen_ai.usage.input_tokens": rng.randint(500, 9_000),
        "gen_ai.usage.output_tokens": rng.randint(50, 700),
        "gen_ai.input.messages": json.dumps(asked),
        "gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": said, "finish_reason": "tool_call"}]),
        "gen_ai.tool.definitions": json.dumps(FUNCTIONS),
    }


def set_attributes(holder: Any, attributes: dict[str, Any]) -> None:
    for key, value in attributes.items():
        pair = holder.attributes.add()
        pair.key = key
        if isinstance(value, int):
            pair.value.int_value = value
        else:
            pair.value.string_value = value


FORMS = {
    "native": Form(native, "/api/v1/traces", "application/json"),
    "otlp": Form(otlp, "/v1/traces", "application/x-protobuf"),
}


def fresh(body: bytes) -> bytes:
    """Return the batch with ids that nobody has seen."""
    for place in places():
        body = body.replace(place, os.urandom(8).hex().encode())
    return body


def places() -> Iterable[bytes]:
    yield IDS.encode()
    for trace in range(TRACES):
        yield PLACE.format(trace).encode()
