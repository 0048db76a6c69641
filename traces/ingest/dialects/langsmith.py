"""LangSmith's exporter: runs of LangChain as spans with the run's type."""

from traces.ingest.dialects.base import MODEL, TOOL, Reading, first, parsed, text
from traces.ingest.dialects.messages import Conversation, note_answer, note_request
from traces.ingest.dialects.semconv import ARGUMENTS, RESULTS, Semconv, about, note_model
from traces.ingest.otlp_span import Attributes, Scope, WireSpan

KIND = "langsmith.span.kind"
TOOLS = {"tool", "retriever", "embedding"}
INPUTS, OUTPUTS = ("gen_ai.prompt", "langsmith.inputs", "inputs"), ("gen_ai.completion", "langsmith.outputs", "outputs")


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
        metadata = "langsmith.metadata."
        reading.session = reading.session or text(
            attributes, "langsmith.trace.session_id", f"{metadata}thread_id", f"{metadata}session_id"
        )
        reading.user = reading.user or text(attributes, f"{metadata}user_id")
        kind = text(attributes, KIND)
        if kind == "llm":
            reading.event_type = MODEL
            note_model(reading, span)
            reading.model = reading.model or text(attributes, f"{metadata}ls_model_name")
            _note_messages(reading, attributes)
        elif kind in TOOLS:
            reading.event_type = TOOL
            reading.tool_name = text(attributes, "gen_ai.tool.name") or span.name
            reading.call_id = text(attributes, "gen_ai.tool.call.id", "tool_call_id")
            reading.arguments = parsed(first(attributes, *ARGUMENTS, *INPUTS))
            reading.result = parsed(first(attributes, *RESULTS, *OUTPUTS))
        return reading


def _note_messages(reading: Reading, attributes: Attributes) -> None:
    """Take the messages from what went in and came out, which may be a list of them or hold one."""
    for keys, note in ((INPUTS, note_request), (OUTPUTS, note_answer)):
        found = parsed(first(attributes, *keys))
        note(reading, Conversation(found.get("messages", found) if isinstance(found, dict) else found))
