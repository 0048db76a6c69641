"""What a scenario sees of a conversation, and what it can say: the whole of its state is in the messages."""

import base64
import hashlib
import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Block = dict[str, Any]

# How the runtime says that a call was not made because people or rules did not want it.
NOT_WANTED = frozenset({"rejected_by_human", "rejected", "answered", "expired", "cancelled", "denied", "superseded"})
WELL = frozenset({"", "ok", "succeeded"})
CLOSING = '[TASK: "{}" STATUS: "{}" RESULT: "{}"]'


def blocks_of(content: Any) -> list[Block]:
    """Return the blocks of a message, whose content may also be a plain text."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


def signature(thinking: str) -> str:
    """Sign a thought, so that it is known again when it comes back, byte for byte."""
    return base64.b64encode(hashlib.sha256(f"sandbox:{thinking}".encode()).digest()).decode()


@dataclass(frozen=True)
class Done:
    """A call that the model asked for, and what it was told of it."""

    name: str
    arguments: dict[str, Any]
    result: Any
    is_error: bool

    @property
    def status(self) -> str:
        """What the runtime says instead of a result; empty for the tool's own words."""
        return str(self.result.get("status", "")) if isinstance(self.result, dict) else ""

    @property
    def is_well(self) -> bool:
        return not self.is_error and self.status in WELL

    @property
    def is_unwanted(self) -> bool:
        return self.status in NOT_WANTED

    @property
    def reason(self) -> str:
        """Why it did not go well, in one line."""
        if not isinstance(self.result, dict):
            return str(self.result)
        words = [self.result.get(name) for name in ("reason", "error", "message", "status")]
        return " ".join(str(next(filter(None, words), "no reason was given")).split())

    def get(self, name: str, default: Any = None) -> Any:
        return self.result.get(name, default) if isinstance(self.result, dict) else default


class Conversation:
    """The messages of one request, read."""

    def __init__(self, messages: Sequence[dict[str, Any]]) -> None:
        blocks = [block for message in messages for block in blocks_of(message.get("content"))]
        results = {block.get("tool_use_id"): block for block in blocks if block.get("type") == "tool_result"}
        asked = [block for block in blocks_of(messages[0].get("content")) if block.get("type") == "text"]
        self.asked = " ".join(block["text"] for block in asked)
        self.done = [
            Done(block["name"], block["input"], _parsed(result.get("content")), bool(result.get("is_error")))
            for block in blocks
            if block.get("type") == "tool_use" and (result := results.get(block["id"])) is not None
        ]

    def all(self, name: str) -> list[Done]:
        return [done for done in self.done if done.name == name]

    def last(self, name: str) -> Done | None:
        return next((done for done in reversed(self.done) if done.name == name), None)

    def number(self, default: int) -> int:
        """Return the order number that the person named."""
        found = re.search(r"\b\d{4}\b", self.asked)
        return int(found.group()) if found else default


def _parsed(content: Any) -> Any:
    text = "".join(str(block.get("text", "")) for block in blocks_of(content))
    try:
        return json.loads(text)
    except ValueError:
        return text


@dataclass(frozen=True)
class Turn:
    """One answer of the model."""

    blocks: list[Block]
    stop_reason: str = "end_turn"


def say(text: str) -> Turn:
    return Turn([{"type": "text", "text": text}])


def close(text: str, *, task: str) -> Turn:
    """Say the last word, and that the task is done with."""
    return say(f"{text}\n\n{_closing(task, 'COMPLETE', text)}")


def give_up(text: str, *, task: str) -> Turn:
    """Say that the task cannot be done, and refuse to go on: nobody shall take half a change for a whole one."""
    return Turn(say(f"{text}\n\n{_closing(task, 'FAILED', text)}").blocks, "refusal")


def _closing(*words: str) -> str:
    return CLOSING.format(*(word.replace('"', "'") for word in words))


def call(*calls: tuple[str, dict[str, Any]], text: str = "", thinking: str = "") -> Turn:
    """Ask for calls, with fresh ids."""
    blocks: list[Block] = []
    if thinking:
        blocks.append({"type": "thinking", "thinking": thinking, "signature": signature(thinking)})
    if text:
        blocks.append({"type": "text", "text": text})
    for name, arguments in calls:
        blocks.append({"type": "tool_use", "id": f"toolu_{secrets.token_hex(12)}", "name": name, "input": arguments})
    return Turn(blocks, "tool_use")
