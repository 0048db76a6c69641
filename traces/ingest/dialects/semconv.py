"""The OpenTelemetry semantic conventions for generative AI as they are now, and libraries that keep to them."""

from typing import Any

from traces.ingest.dialects.base import MODEL, TOOL, Dialect, Reading, amount, count, first, parsed, schemas, text
from traces.ingest.dialects.messages import Conversation, note_answer, note_request
from traces.ingest.otlp_span import Attributes, Scope, WireSpan

MODELS = {"chat", "text_completion", "generate_content", "plan"}
LOOKUPS = {"embeddings", "retrieval", "retrieve"}
CONTAINERS = {"invoke_agent", "invoke_workflow", "create_agent"}
SESSIONS = ("gen_ai.conversation.id", "session.id", "traceloop.association.properties.session_id",
            "lmnr.association.properties.session_id", "coding_agent.session.id")  # fmt: skip
USERS = ("user.id", "enduser.id", "gen_ai.user", "traceloop.association.properties.user_id")
SIGNS = frozenset({"gen_ai.operation.name", "gen_ai.tool.name", "mcp.method.name"})
PROVIDERS = ("gen_ai.provider.name", "gen_ai.system")
DETAILS = "gen_ai.client.inference.operation.details"  # an event that may carry the messages


class Semconv(Dialect):
    """`gen_ai.*`: input tokens include what came from a cache; a tool's span is a sibling of the model's."""

    order = 800
    name = "semconv"
    fixes = dict.fromkeys(
        ("arguments", "results", "schemas", "texts"),
        "OTEL_SEMCONV_STABILITY_OPT_IN=gen_ai_latest_experimental\n"
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=SPAN_ONLY\n"
        "TRACELOOP_TRACE_CONTENT=true  # where the instrumentation is OpenLLMetry's",
    )

    def matches(self, scope: Scope, attributes: Attributes) -> bool:
        return not SIGNS.isdisjoint(attributes)

    def read(self, span: WireSpan) -> Reading:
        attributes = span.attributes
        reading = about(span)
        kind = event_type_of(attributes)
        if kind == TOOL:
            note_tool(reading, attributes)
        elif kind == MODEL:
            note_model(reading, span)
        reading.event_type = kind
        return reading


def event_type_of(attributes: Attributes) -> str | None:
    operation = text(attributes, "gen_ai.operation.name")
    if operation in MODELS:
        return MODEL
    if operation in CONTAINERS:
        return None
    if operation == "execute_tool" or operation in LOOKUPS or str(operation).endswith("_memory"):
        return TOOL
    if attributes.get("mcp.method.name") == "tools/call":
        return TOOL
    # Some libraries leave the operation out of their tool spans.
    return TOOL if operation is None and "gen_ai.tool.name" in attributes else None


def about(span: WireSpan) -> Reading:
    """Return who acts for whom, which spans of every kind may say."""
    attributes, scope = span.attributes, span.scope
    return Reading(
        agent=text(attributes, "gen_ai.agent.name", "agent.name"),
        session=text(attributes, *SESSIONS) or scope.session,
        user=text(attributes, *USERS) or scope.user,
        environment=scope.environment,
        release=scope.release,
    )


def remark(record: WireSpan) -> Reading:
    """Return what a log record says that stands for no step: its words, and how something failed."""
    reading = about(record)
    reading.text = record.body if isinstance(record.body, str) and record.body != record.name else None
    failed = [text(record.attributes, key) for key in ("exception.type", "exception.message")]
    if any(failed):
        reading.error = ": ".join(part for part in failed if part)
    elif record.failed:
        reading.error = reading.text or record.name
    return reading


def note_tool(reading: Reading, attributes: Attributes) -> None:
    operation = text(attributes, "gen_ai.operation.name")
    fallback = operation if operation in LOOKUPS or str(operation).endswith("_memory") else None
    reading.tool_name = text(attributes, "gen_ai.tool.name") or fallback
    reading.call_id = text(attributes, "gen_ai.tool.call.id")
    reading.arguments = parsed(first(attributes, *ARGUMENTS))
    reading.result = parsed(first(attributes, *RESULTS))


ARGUMENTS = ("gen_ai.tool.call.arguments", "tool_arguments", "gen_ai.tool.args", "gen_ai.tool.arguments",
             "gen_ai.tool.input", "gen_ai.retrieval.query.text", "mcp.request.argument")  # fmt: skip
RESULTS = ("gen_ai.tool.call.result", "tool_response", "gen_ai.tool.output", "gen_ai.retrieval.documents",
           "mcp.response.value")  # fmt: skip


def note_model(reading: Reading, span: WireSpan) -> None:
    """Take model, usage, messages and tools of one request to a model."""
    attributes = span.attributes
    note_usage(reading, attributes)
    details = next((event.attributes for event in span.events if event.name == DETAILS), attributes)
    note_answer(reading, Conversation(_messages(attributes, details, "gen_ai.output.messages")))
    note_request(reading, Conversation(_messages(attributes, details, "gen_ai.input.messages")))
    reading.tools = schemas(_messages(attributes, details, "gen_ai.tool.definitions"))


def note_usage(reading: Reading, attributes: Attributes) -> None:
    reading.model = text(attributes, "gen_ai.response.model", "gen_ai.request.model")
    reading.provider = text(attributes, *PROVIDERS)
    reading.call_id = text(attributes, "gen_ai.response.id")
    reading.input_tokens = count(attributes, "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens")
    reading.output_tokens = count(attributes, "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens")
    read = count(attributes, "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens",
                 "gen_ai.usage.details.cache_read_tokens")  # fmt: skip
    written = count(attributes, "gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_creation.input_tokens",
                    "gen_ai.usage.cache_creation_input_tokens", "gen_ai.usage.details.cache_write_tokens")  # fmt: skip
    note_cache(reading, read, written)
    reading.cost_usd = amount(attributes, "operation.cost", "gen_ai.usage.cost", "gen_ai.usage.total_cost")


def note_cache(reading: Reading, read: int | None, written: int | None) -> None:
    """Note what came from a cache and went to it. One larger than the input shows that it was given without it."""
    reading.cached_tokens = read
    reading.cache_written_tokens = written
    cache = (read or 0) + (written or 0)
    if reading.input_tokens is not None and cache > reading.input_tokens:
        reading.input_tokens = min(reading.input_tokens + cache, 2_147_483_647)


def _messages(attributes: Attributes, details: Attributes, key: str) -> Any:
    return attributes.get(key) or details.get(key)
