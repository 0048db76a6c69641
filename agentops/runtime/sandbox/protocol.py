"""What the Messages API refuses, refused here too: a request that passes is one that the real API would take."""

import re
from typing import Any

from agentops.runtime.sandbox.conversation import Block, blocks_of, signature
from agentops.runtime.sandbox.server import RefusedError

REQUIRED = ("model", "messages", "max_tokens")
# No temperature, top_p and top_k: version 2026-10-21 of the API refuses them.
OPTIONAL = frozenset(
    {
        "cache_control",
        "container",
        "context_management",
        "mcp_servers",
        "metadata",
        "output_config",
        "service_tier",
        "stop_sequences",
        "stream",
        "system",
        "thinking",
        "tool_choice",
        "tools",
    }
)
BLOCK_FIELDS: dict[str, dict[str, frozenset[str]]] = {
    "user": {
        "text": frozenset({"type", "text", "cache_control"}),
        "tool_result": frozenset({"type", "tool_use_id", "content", "is_error", "cache_control"}),
    },
    "assistant": {
        "text": frozenset({"type", "text", "cache_control", "citations"}),
        "thinking": frozenset({"type", "thinking", "signature"}),
        "tool_use": frozenset({"type", "id", "name", "input", "cache_control", "caller"}),
    },
}
TOOL_FIELDS = frozenset(
    {"name", "description", "input_schema", "type", "cache_control", "strict", "eager_input_streaming"}
)
NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")


def check(body: dict[str, Any], *, is_count: bool = False) -> None:
    """Raise RefusedError for a body that the API would not take."""
    for field in REQUIRED[: 2 if is_count else 3]:
        _require(field in body, f"{field}: Field required")
    for field in body:
        _require(field in REQUIRED or field in OPTIONAL, f"{field}: Extra inputs are not permitted")
    limit = body.get("max_tokens", 1)
    _require(type(limit) is int and limit >= 1, "max_tokens: Input should be a whole number greater than 0")
    _check_tools(body.get("tools") or [])
    _check_messages(body["messages"])


def _require(is_so: object, message: str) -> None:
    if not is_so:
        raise RefusedError(400, "invalid_request_error", message)


def _check_tools(tools: Any) -> None:
    _require(isinstance(tools, list), "tools: Input should be a valid array")
    names = [tool.get("name") for tool in tools]
    _require(len(names) == len(set(names)), "tools: Tool names must be unique")
    for i, tool in enumerate(tools):
        _require(NAME.fullmatch(str(tool.get("name"))), f"tools.{i}.name: String should match pattern {NAME.pattern}")
        for field in tool:
            _require(field in TOOL_FIELDS, f"tools.{i}.{field}: Extra inputs are not permitted")
        schema = tool.get("input_schema")
        is_object = isinstance(schema, dict) and schema.get("type") == "object"
        _require(is_object, f"tools.{i}.input_schema.type: Input should be 'object'")


def _check_messages(messages: Any) -> None:
    _require(isinstance(messages, list) and messages, "messages: at least one message is required")
    open_calls: list[str] = []
    seen: set[str] = set()
    for i, message in enumerate(messages):
        role = "assistant" if i % 2 else "user"
        _require(set(message) == {"role", "content"}, f"messages.{i}: role and content are expected, and nothing else")
        _require(message["role"] == role, f"messages.{i}: roles must alternate, and begin with user")
        blocks = blocks_of(message["content"])
        _require(blocks, f"messages.{i}: content must not be empty")
        for n, block in enumerate(blocks):
            _check_block(block, role, f"messages.{i}.content.{n}")
        if role == "user":
            _check_answers(blocks, open_calls, f"messages.{i}")
            open_calls = []
        else:
            open_calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
            _require(not seen & {*open_calls}, f"messages.{i}: `tool_use` ids must be unique")
            _require(len({*open_calls}) == len(open_calls), f"messages.{i}: `tool_use` ids must be unique")
            seen |= {*open_calls}
    _require(len(messages) % 2, "messages: the last one must be the user's; prefill is not supported")


def _check_block(block: Block, role: str, where: str) -> None:
    known = BLOCK_FIELDS[role].get(str(block.get("type")))
    _require(known is not None, f"{where}: a block of type {block.get('type')!r} is not permitted here")
    for field in block:
        _require(known is None or field in known, f"{where}.{block['type']}.{field}: Extra inputs are not permitted")
    if block["type"] == "text":
        _require(str(block.get("text") or "").strip(), f"{where}: text content blocks must be non-empty")
    if block["type"] == "tool_use":
        _require(isinstance(block.get("input"), dict), f"{where}.tool_use.input: Input should be a valid dictionary")
        _require(block.get("id") and block.get("name"), f"{where}.tool_use: id and name are required")
    if block["type"] == "thinking":
        is_ours = block.get("signature") == signature(str(block.get("thinking")))
        _require(is_ours, f"{where}: Invalid `signature` in `thinking` block")


def _check_answers(blocks: list[Block], open_calls: list[str], where: str) -> None:
    """Each tool_use of the message before is answered here, once, and first of all."""
    results = [block.get("tool_use_id") for block in blocks if block["type"] == "tool_result"]
    for call in open_calls:
        _require(call in results, f"{where}: `tool_use` ids were found without `tool_result` blocks: {call}")
    for result in results:
        _require(result in open_calls, f"{where}: unexpected `tool_use_id` found in `tool_result` blocks: {result}")
    _require(len(results) == len(set(results)), f"{where}: each tool_use must have a single result")
    first = [block["type"] for block in blocks[: len(results)]]
    _require(set(first) <= {"tool_result"}, f"{where}: tool_result blocks must come before any other content")
