"""OpenLLMetry and Traceloop: decorated functions, and the conventions as they were before messages became JSON."""

from typing import Any

from traces.ingest.dialects.base import MODEL, TOOL, Reading, decoded, first, named_arguments, parsed, schemas, text
from traces.ingest.dialects.flat import unflatten
from traces.ingest.dialects.messages import Conversation, note_answer, note_request
from traces.ingest.dialects.semconv import ARGUMENTS, RESULTS, Semconv, about, note_usage
from traces.ingest.otlp_span import Attributes, Scope, WireSpan

KIND = "traceloop.span.kind"
SIGNS = frozenset({KIND, "llm.request.type", "gen_ai.prompt.0.role", "gen_ai.completion.0.role",
                   "gen_ai.completion.0.content"})  # fmt: skip
MODELS = {"chat", "completion"}


class OpenLlmetry(Semconv):
    """`traceloop.*` on decorated functions; `gen_ai.prompt.N.*`, `gen_ai.completion.N.*` on requests to a model."""

    order = 500
    name = "openllmetry"
    fixes = {
        **dict.fromkeys(("arguments", "results", "schemas", "texts"), "TRACELOOP_TRACE_CONTENT=true"),
        "session": 'Traceloop.set_association_properties({"session_id": conversation_id})',
        "parents": '@traceloop.sdk.decorators.agent(name="my-agent")\ndef run_the_agent(): ...',
    }

    def matches(self, scope: Scope, attributes: Attributes) -> bool:
        return not SIGNS.isdisjoint(attributes)

    def read(self, span: WireSpan) -> Reading:
        attributes = span.attributes
        kind = text(attributes, KIND)
        if kind is not None:
            return _function(span, kind)
        reading = super().read(span)
        if text(attributes, "llm.request.type") in {None, *MODELS}:
            reading.event_type = MODEL
            note_usage(reading, attributes)
            note_answer(reading, Conversation(unflatten(attributes, "gen_ai.completion.")))
            note_request(reading, Conversation(unflatten(attributes, "gen_ai.prompt.")))
            reading.tools = reading.tools or schemas(unflatten_functions(attributes))
        return reading


def _function(span: WireSpan, kind: str) -> Reading:
    attributes = span.attributes
    reading = about(span)
    if kind == "agent":
        reading.agent = reading.agent or text(attributes, "traceloop.entity.name")
    if kind == "tool":
        reading.event_type = TOOL
        reading.tool_name = text(attributes, "traceloop.entity.name", "gen_ai.tool.name") or span.name
        reading.call_id = text(attributes, "gen_ai.tool.call.id")
        reading.arguments = named_arguments(parsed(first(attributes, "traceloop.entity.input", *ARGUMENTS)))
        output = first(attributes, "traceloop.entity.output", *RESULTS)
        reading.result = decoded(output) if isinstance(output, str) else output
    return reading


def unflatten_functions(attributes: Attributes) -> list[dict[str, Any]]:
    found = unflatten(attributes, "llm.request.functions.")
    return [{key: parsed(value) for key, value in one.items()} for one in found]
