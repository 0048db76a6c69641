"""The AI SDK by Vercel: `ai.generateText` holds the requests to a model and the tool calls that it led to."""

from traces.ingest.dialects.base import MODEL, TOOL, Dialect, Reading, count, first, parsed, schemas, text
from traces.ingest.dialects.messages import Conversation, note_answer, note_request
from traces.ingest.dialects.semconv import PROVIDERS, about, note_cache
from traces.ingest.otlp_span import Attributes, Scope, WireSpan

REQUESTS = (".doGenerate", ".doStream")


class Vercel(Dialect):
    """Only the innermost spans count: those around them carry the same usage once more."""

    order = 350
    name = "vercel_ai"
    fixes = {
        **dict.fromkeys(("arguments", "schemas"), "experimental_telemetry: { isEnabled: true, recordInputs: true }"),
        **dict.fromkeys(("results", "texts"), "experimental_telemetry: { isEnabled: true, recordOutputs: true }"),
        "session": "experimental_telemetry: { isEnabled: true, metadata: { sessionId: conversationId } }",
        "agent": 'experimental_telemetry: { isEnabled: true, functionId: "my-agent" }',
        "parents": 'await tracer.startActiveSpan("my-agent", async (span) => {\n'
        "  await runTheAgent();\n"
        "  span.end();\n"
        "});",
    }

    def matches(self, scope: Scope, attributes: Attributes) -> bool:
        return "ai.operationId" in attributes or (scope.name == "ai" and "operation.name" in attributes)

    def read(self, span: WireSpan) -> Reading:
        attributes = span.attributes
        reading = about(span)
        metadata = "ai.telemetry.metadata."
        reading.session = text(attributes, f"{metadata}sessionId", f"{metadata}session_id") or reading.session
        reading.user = text(attributes, f"{metadata}userId", f"{metadata}user_id") or reading.user
        reading.agent = reading.agent or text(attributes, "ai.telemetry.functionId")
        operation = (text(attributes, "ai.operationId", "operation.name") or "").partition(" ")[0]
        if operation == "ai.toolCall":
            reading.event_type = TOOL
            reading.tool_name = text(attributes, "ai.toolCall.name")
            reading.call_id = text(attributes, "ai.toolCall.id")
            reading.arguments = parsed(first(attributes, "ai.toolCall.args", "ai.toolCall.input"))
            reading.result = parsed(first(attributes, "ai.toolCall.result", "ai.toolCall.output"))
        elif operation.endswith(REQUESTS):
            _note_model(reading, attributes)
        return reading


def _note_model(reading: Reading, attributes: Attributes) -> None:
    reading.event_type = MODEL
    reading.model = text(
        attributes, "ai.response.model", "gen_ai.response.model", "ai.model.id", "gen_ai.request.model"
    )
    reading.provider = text(attributes, "ai.model.provider", *PROVIDERS)
    reading.call_id = text(attributes, "ai.response.id", "gen_ai.response.id")
    reading.input_tokens = count(
        attributes, "ai.usage.inputTokens", "ai.usage.promptTokens", "gen_ai.usage.input_tokens"
    )
    reading.output_tokens = count(
        attributes, "ai.usage.outputTokens", "ai.usage.completionTokens", "gen_ai.usage.output_tokens"
    )
    details = "ai.usage.inputTokenDetails."
    read = count(attributes, "ai.usage.cachedInputTokens", f"{details}cacheReadTokens")
    note_cache(reading, read, count(attributes, f"{details}cacheWriteTokens"))
    note_request(reading, Conversation(first(attributes, "ai.prompt.messages", "ai.prompt")))
    answer = {
        "role": "assistant",
        "content": text(attributes, "ai.response.text", "ai.response.object", "ai.result.text", "ai.result.object"),
        "tool_calls": parsed(first(attributes, "ai.response.toolCalls", "ai.result.toolCalls")),
    }
    note_answer(reading, Conversation([answer]))
    reading.thinking = reading.thinking or text(attributes, "ai.response.reasoning")
    reading.tools = schemas(attributes.get("ai.prompt.tools"))
