"""What the model is asked: the run so far as messages, made from rows alone, so that any process makes the same."""

import json
from hashlib import sha256
from typing import Any

import msgspec

from agentops.runtime.llm import Request
from agentops.runtime.models import ModelTurn, Run, ToolCall
from agentops.runtime.parts import Parts

MAX_MESSAGES = 20
MOST_RESULT_CHARS = 40_000  # of one tool result


def request(run: Run, parts: Parts) -> Request:
    """Return what the model is asked next. Two queries."""
    return Request(
        model=parts.model_name,
        system=parts.system,
        messages=messages(run, list(run.turns.order_by("turn")), list(run.calls.order_by("turn", "ordinal"))),
        tools=[
            {"name": tool.name, "description": tool.description, "input_schema": tool.schema}
            for tool in parts.tools.values()
        ],
        max_tokens=parts.max_tokens,
        run_id=str(run.pk),
        scenario=run.scenario or None,
    )


def digest(asked: Request) -> bytes:
    """Return the SHA-256 of a request, for its journal."""
    return sha256(msgspec.json.encode(asked, order="deterministic")).digest()


def messages(run: Run, turns: list[ModelTurn], calls: list[ToolCall]) -> list[dict[str, Any]]:
    """Return the conversation; of a long one the oldest half is told in one message, from the rows."""
    keep = len(turns) if 2 * len(turns) < MAX_MESSAGES else MAX_MESSAGES // 4
    old, new = turns[: len(turns) - keep], turns[len(turns) - keep :]
    said = run.input
    if old:
        said = f"{said}\n\n{summary([call for call in calls if call.turn <= old[-1].turn])}"
    found: list[dict[str, Any]] = [{"role": "user", "content": said}]
    for turn in new:
        if turn.content:
            _add(found, "assistant", turn.content)
        results = [tool_result(call) for call in calls if call.turn == turn.turn]
        if results:
            _add(found, "user", results)
    return found


def summary(calls: list[ToolCall]) -> str:
    """Tell what was done so far, one line a call."""
    lines = [f"- {call.tool}({_short(call.runs_with)}): {call.status}, {_short(call.result)}" for call in calls]
    return "\n".join(["What you did before, and what came of it:", *lines])


def tool_result(call: ToolCall) -> dict[str, Any]:
    """Return the block that answers one tool use."""
    text = json.dumps(call.result, ensure_ascii=False)
    block: dict[str, Any] = {"type": "tool_result", "tool_use_id": call.tool_use_id}
    block["content"] = text if len(text) <= MOST_RESULT_CHARS else f"{text[:MOST_RESULT_CHARS]}… [cut]"
    if not call.is_ok:
        block["is_error"] = True
    return block


def _add(found: list[dict[str, Any]], role: str, content: list[dict[str, Any]]) -> None:
    """Append a message; two of one role in a row become one."""
    if found[-1]["role"] == role and isinstance(found[-1]["content"], list):
        found[-1] = {"role": role, "content": [*found[-1]["content"], *content]}
    else:
        found.append({"role": role, "content": content})


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 300 else f"{text[:300]}…"
