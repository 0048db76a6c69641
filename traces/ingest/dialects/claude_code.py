"""Claude Code: an interaction holds requests to the model, tools, and the times a tool waited for a person.

The same is told by spans, by log records (events), or by both; usually by records alone.
"""

from collections.abc import Callable
from typing import Any

from traces.ingest.dialects.base import (
    ERROR,
    GATE,
    MODEL,
    SPAN,
    TOOL,
    USAGE,
    Dialect,
    Reading,
    amount,
    count,
    parsed,
    text,
)
from traces.ingest.dialects.semconv import PROVIDERS, about
from traces.ingest.otlp_span import Attributes, Scope, WireSpan

SCOPE = "com.anthropic.claude_code"
REDACTED = "<REDACTED>"  # in the place of what its user did not let it tell


class ClaudeCode(Dialect):
    """Input tokens come without those of the cache, which are added here."""

    order = 200
    name = "claude_code"
    fixes = {
        "arguments": "OTEL_LOG_TOOL_DETAILS=1",
        "results": "OTEL_LOG_TOOL_DETAILS=1 OTEL_LOG_TOOL_CONTENT=1",
        "texts": "OTEL_LOGS_EXPORTER=otlp OTEL_LOG_USER_PROMPTS=1",
        "parents": "CLAUDE_CODE_ENHANCED_TELEMETRY_BETA=1",
    }
    never = frozenset({"schemas"})
    beside = frozenset({"texts"})

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
            reading.knows_outcome = "success" in attributes
            note_tool(reading, attributes)
        elif kind == "tool.blocked_on_user":
            reading.event_type = GATE
            reading.decision = text(attributes, "decision") or "pending"
        elif kind == "interaction":
            reading.preview = text(attributes, "user_prompt")
        if attributes.get("success") in (False, "false") and reading.event_type is not None:
            reading.error = text(attributes, "error", "error_type") or "it says that it failed"
        return reading

    def read_record(self, record: WireSpan) -> Reading | None:
        """Return what an event tells. The trace of one that names none is its prompt's; without one, its session's."""
        reading = about(record)
        reading.run = text(record.attributes, "prompt.id")
        note = EVENTS.get(record.name.removeprefix("claude_code."))
        if note is not None:
            note(reading, record)
            reading.run = reading.run or reading.session
            reading.took_ms = count(record.attributes, "duration_ms")
        return reading


def note_usage(reading: Reading, attributes: Attributes) -> None:
    reading.model = text(attributes, "gen_ai.response.model", "gen_ai.request.model", "model")
    reading.provider = text(attributes, *PROVIDERS)
    cached = count(attributes, "cache_read_tokens")
    written = count(attributes, "cache_creation_tokens")
    parts = [count(attributes, "input_tokens"), cached, written]
    reading.input_tokens = None if parts[0] is None else sum(part or 0 for part in parts)
    reading.output_tokens = count(attributes, "output_tokens")
    reading.cached_tokens = cached
    reading.cache_written_tokens = written
    used = f"{USAGE}{reading.model}:{reading.input_tokens}:{cached}:{reading.output_tokens}"
    reading.call_id = text(attributes, "request_id", "gen_ai.response.id") or used


def note_tool(reading: Reading, attributes: Attributes) -> None:
    tool = text(attributes, "mcp_tool_name", "tool_name", "gen_ai.tool.name")
    server = text(attributes, "mcp_server_name")
    reading.tool_name = f"mcp__{server}__{tool}" if server and tool and not tool.startswith("mcp__") else tool
    reading.call_id = text(attributes, "tool_use_id", "gen_ai.tool.call.id")
    reading.arguments = _arguments(attributes)
    reading.result = parsed(attributes.get("tool_output"))


def _arguments(attributes: Attributes) -> Any:
    """Return the arguments; of a shell command without them, what is said beside it."""
    arguments = parsed(attributes.get("tool_input"))
    command = text(attributes, "full_command")
    return {"command": command} if arguments is None and command else arguments


def _prompt(reading: Reading, record: WireSpan) -> None:
    reading.event_type = GATE
    reading.text = reading.preview = _told(record.attributes, "prompt_text", "prompt")


def _request(reading: Reading, record: WireSpan) -> None:
    reading.event_type, reading.is_echo = MODEL, True
    note_usage(reading, record.attributes)
    micros = count(record.attributes, "cost_usd_micros")
    reading.cost_usd = amount(record.attributes, "cost_usd") if micros is None else micros / 1_000_000


def _failed_request(reading: Reading, record: WireSpan) -> None:
    _request(reading, record)
    said = [text(record.attributes, key) for key in ("status_code", "error")]
    reading.error = " ".join(part for part in said if part) or "the request failed"


def _answer(reading: Reading, record: WireSpan) -> None:
    """Take the words of an answer. They belong to its request, which another event tells of."""
    reading.text = _told(record.attributes, "response")
    reading.call_id = text(record.attributes, "request_id")
    reading.is_echo = True


def _tool(reading: Reading, record: WireSpan) -> None:
    attributes = _with_parameters(record.attributes)
    reading.event_type, reading.is_echo = TOOL, True
    note_tool(reading, attributes)
    if attributes.get("success") in (False, "false"):
        reading.error = text(attributes, "error", "error_type") or "it says that it failed"


def _decision(reading: Reading, record: WireSpan) -> None:
    """Take what was decided on a call: by a person, or by what the person has configured (see `source`)."""
    note_tool(reading, _with_parameters(record.attributes))
    reading.event_type = GATE
    reading.is_echo = record.parent_span_id is not None
    reading.call_id = f"{SPAN}{record.parent_span_id}" if reading.is_echo else None
    reading.decision = text(record.attributes, "decision") or "pending"


def _internal_error(reading: Reading, record: WireSpan) -> None:
    reading.event_type = ERROR
    said = [text(record.attributes, key) for key in ("error_name", "error_code", "error")]
    reading.error = " ".join(part for part in said if part) or record.name


EVENTS: dict[str, Callable[[Reading, WireSpan], None]] = {
    "user_prompt": _prompt,
    "api_request": _request,
    "api_error": _failed_request,
    "assistant_response": _answer,
    "tool_result": _tool,
    "tool_decision": _decision,
    "internal_error": _internal_error,
}


def _with_parameters(attributes: Attributes) -> Attributes:
    """Return the attributes of an event of a tool, with what it tells of the call in one of them beside them."""
    parameters = parsed(attributes.get("tool_parameters"))
    return parameters | attributes if isinstance(parameters, dict) else attributes


def _told(attributes: Attributes, *keys: str) -> str | None:
    found = text(attributes, *keys)
    return None if found == REDACTED else found
