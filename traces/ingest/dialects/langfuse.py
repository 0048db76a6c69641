"""Langfuse's client: observations as spans, their details as JSON in attributes."""

from typing import Any

from traces.ingest.dialects.base import (
    MODEL,
    TOOL,
    Dialect,
    Reading,
    amount,
    count,
    named_arguments,
    parsed,
    schemas,
    text,
)
from traces.ingest.dialects.messages import Conversation, note_answer, note_request
from traces.ingest.dialects.semconv import PROVIDERS, about, note_cache
from traces.ingest.otlp_span import Attributes, Scope, WireSpan

OBSERVATION = "langfuse.observation."
MODELS, TOOLS = {"generation"}, {"tool", "retriever", "embedding"}


class Langfuse(Dialect):
    order = 320
    name = "langfuse"
    fixes = {
        "arguments": '@observe(as_type="tool", capture_input=True)',
        "results": '@observe(as_type="tool", capture_output=True)',
        "tokens": 'generation.update(usage_details={"input": prompt_tokens, "output": answer_tokens})',
        "texts": '@observe(as_type="generation", capture_output=True)',
        "session": "with propagate_attributes(session_id=conversation_id):\n    run_the_agent()",
        "parents": '@observe(as_type="agent")\ndef run_the_agent(): ...',
    }

    def matches(self, scope: Scope, attributes: Attributes) -> bool:
        return f"{OBSERVATION}type" in attributes

    def read(self, span: WireSpan) -> Reading:
        attributes = span.attributes
        reading = about(span)
        reading.session = text(attributes, "langfuse.session.id", "langfuse.trace.session_id") or reading.session
        reading.user = text(attributes, "langfuse.user.id") or reading.user
        reading.environment = text(attributes, "langfuse.environment") or reading.environment
        reading.release = text(attributes, "langfuse.release", "langfuse.version") or reading.release
        kind = text(attributes, f"{OBSERVATION}type")
        if kind == "agent":
            reading.agent = reading.agent or span.name
        if kind in TOOLS:
            reading.event_type = TOOL
            reading.tool_name = text(attributes, "gen_ai.tool.name") or span.name
            reading.arguments = named_arguments(parsed(attributes.get(f"{OBSERVATION}input")))
            reading.result = parsed(attributes.get(f"{OBSERVATION}output"))
        elif kind in MODELS:
            _note_model(reading, attributes)
        if text(attributes, f"{OBSERVATION}level") == "ERROR":
            reading.error = text(attributes, f"{OBSERVATION}status_message") or "the observation says ERROR"
        return reading


def _note_model(reading: Reading, attributes: Attributes) -> None:
    reading.event_type = MODEL
    reading.model = text(attributes, f"{OBSERVATION}model.name", "gen_ai.response.model", "gen_ai.request.model")
    reading.provider = text(attributes, *PROVIDERS)
    usage = parsed(attributes.get(f"{OBSERVATION}usage_details"))
    if isinstance(usage, dict):
        _note_usage(reading, usage)
    cost = parsed(attributes.get(f"{OBSERVATION}cost_details"))
    reading.cost_usd = amount(cost, "total") if isinstance(cost, dict) else None
    sent = parsed(attributes.get(f"{OBSERVATION}input"))
    if isinstance(sent, dict):
        reading.tools = schemas(sent.get("tools"))
        sent = sent.get("messages", sent)
    note_request(reading, Conversation(sent))
    output = parsed(attributes.get(f"{OBSERVATION}output"))
    note_answer(reading, Conversation(output))
    if reading.text is None and isinstance(output, str):
        reading.text = output


def _note_usage(reading: Reading, usage: dict[str, Any]) -> None:
    """Take the tokens: as a provider counts them, or in Langfuse's words, where parts are not within `input`."""
    reading.input_tokens = _whole(usage, "input", "prompt_tokens")
    reading.output_tokens = _whole(usage, "output", "completion_tokens")
    details = usage.get("prompt_tokens_details") or usage.get("input_tokens_details")
    read = count(usage, "cache_read_input_tokens", "input_cached_tokens", "input_cache_read")
    if read is None and isinstance(details, dict):
        read = count(details, "cached_tokens")
    note_cache(reading, read, count(usage, "cache_creation_input_tokens", "input_cache_creation"))


def _whole(usage: dict[str, Any], side: str, provider: str) -> int | None:
    rest, provided = count(usage, side), f"{side}_tokens"
    if rest is None:
        return count(usage, provided, provider)
    # Those of a priority tier are counted within the others.
    parts = [key for key in usage if key.startswith(f"{side}_") and not key.startswith((provided, f"{side}_priority"))]
    return min(rest + sum(count(usage, key) or 0 for key in parts), 2_147_483_647)
