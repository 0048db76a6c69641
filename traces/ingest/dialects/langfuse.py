"""Langfuse's client: observations as spans, their details as JSON in attributes."""

from traces.ingest.dialects.base import MODEL, TOOL, Dialect, Reading, amount, count, parsed, text
from traces.ingest.dialects.messages import Conversation, note_answer, note_request
from traces.ingest.dialects.semconv import about, note_cache
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
            reading.arguments = parsed(attributes.get(f"{OBSERVATION}input"))
            reading.result = parsed(attributes.get(f"{OBSERVATION}output"))
        elif kind in MODELS:
            _note_model(reading, attributes)
        if text(attributes, f"{OBSERVATION}level") == "ERROR":
            reading.error = text(attributes, f"{OBSERVATION}status_message") or "the observation says ERROR"
        return reading


def _note_model(reading: Reading, attributes: Attributes) -> None:
    reading.event_type = MODEL
    reading.model = text(attributes, f"{OBSERVATION}model.name", "gen_ai.response.model", "gen_ai.request.model")
    usage = parsed(attributes.get(f"{OBSERVATION}usage_details"))
    if isinstance(usage, dict):
        reading.input_tokens = count(usage, "input", "input_tokens", "prompt_tokens")
        reading.output_tokens = count(usage, "output", "output_tokens", "completion_tokens")
        read = count(usage, "cache_read_input_tokens", "input_cached_tokens", "input_cache_read")
        note_cache(reading, read, count(usage, "cache_creation_input_tokens", "input_cache_creation"))
    cost = parsed(attributes.get(f"{OBSERVATION}cost_details"))
    reading.cost_usd = amount(cost, "total") if isinstance(cost, dict) else None
    note_request(reading, Conversation(attributes.get(f"{OBSERVATION}input")))
    output = parsed(attributes.get(f"{OBSERVATION}output"))
    note_answer(reading, Conversation(output))
    if reading.text is None and isinstance(output, str):
        reading.text = output
