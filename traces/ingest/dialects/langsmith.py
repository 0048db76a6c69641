"""LangSmith's exporter: runs of LangChain and LangGraph as spans with the run's type."""

from typing import Any

from traces.ingest.dialects.base import MODEL, TOOL, Reading, count, first, parsed, response_id, text
from traces.ingest.dialects.messages import Conversation, note_answer, note_request, note_tool_message
from traces.ingest.dialects.semconv import ARGUMENTS, RESULTS, Semconv, about, note_cache, note_model
from traces.ingest.otlp_span import Attributes, Scope, WireSpan

KIND = "langsmith.span.kind"
METADATA = "langsmith.metadata."
TOOLS = {"tool", "retriever", "embedding"}
INPUTS, OUTPUTS = ("gen_ai.prompt", "langsmith.inputs", "inputs"), ("gen_ai.completion", "langsmith.outputs", "outputs")
# Where the messages lie in what went in and came out: of LangChain's models, of OpenAI's client, of others.
HOLDERS = ("generations", "choices", "messages")
WRITTEN = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
UNNAMED = "LangGraph"  # what a graph is called that has no name


class LangSmith(Semconv):
    order = 360
    name = "langsmith"
    fixes = {
        "session": 'agent.invoke(messages, config={"metadata": {"session_id": conversation_id}})',
        "parents": '@traceable(run_type="chain", name="my-agent")\ndef run_the_agent(): ...',
    }

    def matches(self, scope: Scope, attributes: Attributes) -> bool:
        return KIND in attributes

    def read(self, span: WireSpan) -> Reading:
        attributes = span.attributes
        reading = about(span)
        reading.session = reading.session or text(
            attributes, "langsmith.trace.session_id", f"{METADATA}thread_id", f"{METADATA}session_id"
        )
        reading.user = reading.user or text(attributes, f"{METADATA}user_id")
        reading.agent = reading.agent or _agent(span)
        kind = text(attributes, KIND)
        if kind == "llm":
            reading.event_type = MODEL
            note_model(reading, span)
            reading.model = reading.model or text(attributes, f"{METADATA}ls_model_name")
            reading.provider = reading.provider or text(attributes, f"{METADATA}ls_provider")
            reading.call_id = reading.call_id or response_id(text(attributes, *OUTPUTS))
            _note_details(reading, parsed(attributes.get(f"{METADATA}usage_metadata")))
            for keys, note in ((INPUTS, note_request), (OUTPUTS, note_answer)):
                note(reading, Conversation(_messages(parsed(first(attributes, *keys)))))
        elif kind in TOOLS:
            reading.event_type = TOOL
            reading.tool_name = text(attributes, "gen_ai.tool.name") or span.name
            reading.call_id = text(attributes, "gen_ai.tool.call.id", "tool_call_id")
            reading.arguments = parsed(first(attributes, *ARGUMENTS, *INPUTS))
            reading.result = _result(note_tool_message(reading, parsed(first(attributes, *RESULTS, *OUTPUTS))))
        return reading


def _agent(span: WireSpan) -> str | None:
    """Return the agent that is named, or the graph at the top."""
    named = text(span.attributes, f"{METADATA}lc_agent_name")
    is_graph = span.parent_span_id is None and span.attributes.get(f"{METADATA}ls_integration") == "langgraph"
    return named or (span.name if is_graph and span.name != UNNAMED else None)


def _note_details(reading: Reading, usage: Any) -> None:
    details = usage.get("input_token_details") if isinstance(usage, dict) else None
    if isinstance(details, dict) and reading.cached_tokens is None:
        # LangChain leaves the sum at 0 where it tells for how long the cache holds what was written.
        written = count(details, "cache_creation") or sum(count(details, part) or 0 for part in WRITTEN)
        note_cache(reading, count(details, "cache_read"), written)


def _messages(found: Any) -> Any:
    """Return the messages of what went in or came out."""
    if isinstance(found, dict):
        found = next((found[key] for key in HOLDERS if key in found), found)
    if isinstance(found, list) and found and isinstance(found[0], list):
        found = found[0]
    if isinstance(found, list):
        return [one["message"] if isinstance(one, dict) and "message" in one else one for one in found]
    return found


def _result(output: Any) -> Any:
    """Return what a function gave back, which is wrapped where it is no object."""
    return output["output"] if isinstance(output, dict) and set(output) == {"output"} else output
