"""Claude Code: an interaction holds requests to the model, tools, and the times a tool waited for a person."""

from typing import Any

from traces.ingest.dialects.base import GATE, MODEL, TOOL, Dialect, Reading, count, parsed, text
from traces.ingest.dialects.semconv import about
from traces.ingest.otlp_span import Attributes, Scope, WireSpan

SCOPE = "com.anthropic.claude_code"


class ClaudeCode(Dialect):
    """Input tokens come without those of the cache, which are added here."""

    order = 200
    name = "claude_code"
    fixes = {
        "arguments": "OTEL_LOG_TOOL_DETAILS=1",
        "results": "OTEL_LOG_TOOL_DETAILS=1 OTEL_LOG_TOOL_CONTENT=1",
        "parents": "CLAUDE_CODE_ENHANCED_TELEMETRY_BETA=1",
    }
    never = frozenset({"schemas", "texts"})

    def matches(self, scope: Scope, attributes: Attributes) -> bool:
        return scope.name.startswith(SCOPE)

    def read(self, span: WireSpan) -> Reading:
        attributes = span.attributes
        reading = about(span)
        kind = text(attributes, "span.type")
        if kind == "llm_request":
            reading.event_type = MODEL
            note_usage(reading, attributes)
        elif kind == "tool":
            reading.event_type = TOOL
            note_tool(reading, attributes)
        elif kind == "tool.blocked_on_user":
            reading.event_type = GATE
            reading.decision = text(attributes, "decision") or "pending"
        elif kind == "interaction":
            reading.preview = text(attributes, "user_prompt")
        if attributes.get("success") in (False, "false") and reading.event_type is not None:
            reading.error = text(attributes, "error", "error_type") or "it says that it failed"
        return reading


def note_usage(reading: Reading, attributes: Attributes) -> None:
    reading.model = text(attributes, "gen_ai.response.model", "gen_ai.request.model", "model")
    reading.call_id = text(attributes, "gen_ai.response.id", "request_id")
    cached = count(attributes, "cache_read_tokens")
    parts = [count(attributes, "input_tokens"), cached, count(attributes, "cache_creation_tokens")]
    reading.input_tokens = None if parts[0] is None else sum(part or 0 for part in parts)
    reading.output_tokens = count(attributes, "output_tokens")
    reading.cached_tokens = cached


def note_tool(reading: Reading, attributes: Attributes) -> None:
    tool, server = text(attributes, "tool_name", "gen_ai.tool.name"), text(attributes, "mcp_server_name")
    reading.tool_name = f"mcp__{server}__{tool}" if server and tool and not tool.startswith("mcp__") else tool
    reading.call_id = text(attributes, "tool_use_id", "gen_ai.tool.call.id")
    reading.arguments = _arguments(attributes)
    reading.result = parsed(attributes.get("tool_output"))


def _arguments(attributes: Attributes) -> Any:
    """Return the arguments; of a shell command without them, what is said beside it."""
    arguments = parsed(attributes.get("tool_input"))
    command = text(attributes, "full_command")
    return {"command": command} if arguments is None and command else arguments
