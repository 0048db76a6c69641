"""OpenInference: Phoenix's instrumentations of LangChain, LangGraph, OpenAI, Anthropic and many more."""

from traces.ingest.dialects.base import (
    MODEL,
    TOOL,
    Dialect,
    Reading,
    amount,
    count,
    first,
    parsed,
    response_id,
    schemas,
    text,
)
from traces.ingest.dialects.flat import unflatten
from traces.ingest.dialects.messages import Conversation, note_answer, note_request, note_tool_message
from traces.ingest.dialects.semconv import about, note_cache
from traces.ingest.otlp_span import Attributes, Scope, WireSpan

KIND = "openinference.span.kind"
TOOLS = {"TOOL", "RETRIEVER", "RERANKER", "EMBEDDING"}


class OpenInference(Dialect):
    """`llm.*` and `input.value`, `output.value`; the prompt's tokens include those of a cache."""

    order = 400
    name = "openinference"
    fixes = {
        "arguments": "OPENINFERENCE_HIDE_INPUTS=false",
        "results": "OPENINFERENCE_HIDE_OUTPUTS=false",
        "schemas": "OPENINFERENCE_HIDE_INPUTS=false OPENINFERENCE_HIDE_LLM_INVOCATION_PARAMETERS=false",
        "texts": "OPENINFERENCE_HIDE_OUTPUTS=false OPENINFERENCE_HIDE_OUTPUT_TEXT=false",
        "session": "with openinference.instrumentation.using_session(conversation_id):\n    run_the_agent()",
        "parents": 'with tracer.start_as_current_span("my-agent", attributes={\n'
        '    "openinference.span.kind": "AGENT"}):\n'
        "    run_the_agent()",
    }

    def matches(self, scope: Scope, attributes: Attributes) -> bool:
        return KIND in attributes

    def read(self, span: WireSpan) -> Reading:
        attributes = span.attributes
        reading = about(span)
        kind = str(attributes[KIND]).upper()
        if kind == "LLM":
            _note_model(reading, attributes)
        elif kind in TOOLS:
            _note_tool(reading, attributes, span.name)
        elif kind == "AGENT" and span.parent_span_id is None:
            reading.agent = reading.agent or span.name
        reading.user = reading.user or text(attributes, "llm.user")
        return reading


def _note_model(reading: Reading, attributes: Attributes) -> None:
    reading.event_type = MODEL
    reading.model = text(attributes, "llm.response.model_name", "llm.model_name", "llm.request.model_name")
    reading.provider = text(attributes, "llm.provider", "llm.system")
    reading.input_tokens = count(attributes, "llm.token_count.prompt")
    reading.output_tokens = count(attributes, "llm.token_count.completion")
    read = count(attributes, "llm.token_count.prompt_details.cache_read")
    note_cache(reading, read, count(attributes, "llm.token_count.prompt_details.cache_write"))
    reading.cost_usd = amount(attributes, "llm.cost.total")
    note_answer(reading, Conversation(unflatten(attributes, "llm.output_messages.")))
    note_request(reading, Conversation(unflatten(attributes, "llm.input_messages.")))
    reading.tools = schemas([one.get("json_schema", one) for one in unflatten(attributes, "llm.tools.")])
    reading.call_id = response_id(text(attributes, "output.value"))


def _note_tool(reading: Reading, attributes: Attributes, name: str) -> None:
    reading.event_type = TOOL
    reading.tool_name = text(attributes, "tool.name") or name
    reading.call_id = text(attributes, "tool_call.id", "tool.id")
    reading.arguments = parsed(first(attributes, "input.value", "tool.parameters"))
    reading.result = note_tool_message(reading, parsed(attributes.get("output.value")))
