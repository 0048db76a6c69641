"""A small agent for tests: tools whose effects an outside counter sees, and a model that reads its script from rows.

The script is part of the run's input, so that any process plays it the same way from wherever it goes on.
"""

import json
import os
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

from agentops.runtime.llm import Answer, ModelError, Request, Usage
from agentops.runtime.parts import Parts
from agentops.runtime.tools.base import (
    Call,
    CompensationRefusedError,
    Effect,
    OutcomeUnknownError,
    Preview,
    Risk,
    Tool,
    ToolError,
)


class Outside:
    """The other side: a file of lines that no rollback and no crash takes back."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def note(self, what: str, key: str) -> None:
        """Append, and wait until it is there: one write, so that lines of two processes do not mix."""
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, f"{what} {key}\n".encode())
        finally:
            os.close(file)

    def lines(self) -> list[tuple[str, str]]:
        if not self.path.exists():
            return []
        return [(what, key) for what, key in (line.split(" ", 1) for line in self.path.read_text().splitlines())]

    def count(self, what: str) -> Counter[str]:
        return Counter(key for name, key in self.lines() if name == what)


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"order": {"type": "integer"}, "amount": {"type": "number"}, "act": {"type": "string"}},
    "required": ["order"],
    "additionalProperties": False,
}


class DeskTool(Tool):
    """Counts outside; `act` makes it misbehave."""

    description = "Does something to an order."
    schema = SCHEMA

    def __init__(self, outside: Outside) -> None:
        self.outside = outside

    def execute(self, arguments: dict[str, Any], call: Call) -> Any:
        act = arguments.get("act", "")
        if act == "refuse" or (act == "break, then refuse" and call.attempt > 1):
            raise ToolError("the order is closed")
        if act == "break" or (act == "break once" and call.attempt == 1):
            raise OutcomeUnknownError("the connection was reset")
        self.happen(call.key)
        if act in ("break after", "break, then refuse") and call.attempt == 1:
            raise OutcomeUnknownError("the connection was reset")
        return {"order": arguments["order"], "done": self.name}

    def happen(self, key: str) -> None:
        self.outside.note(self.name, key)

    def preview(self, arguments: dict[str, Any], call: Call) -> Preview:
        return Preview(title=f"{self.name} on {arguments['order']}")


class LookUp(DeskTool):
    name = "look_up"
    effect = Effect.READ
    risk = Risk.LOW


class Deduplicated(DeskTool):
    """The other side takes each key once."""

    effect = Effect.IDEMPOTENT
    has_compensation = True

    def happen(self, key: str) -> None:
        if key not in self.outside.count(self.name):
            self.outside.note(self.name, key)

    def remember(self, arguments: dict[str, Any], call: Call) -> dict[str, Any]:
        return {"before": "paid"}

    def compensate(self, arguments: dict[str, Any], remembered: dict[str, Any], call: Call) -> Any:
        if arguments.get("act") == "never undo":
            raise CompensationRefusedError("the bank refuses")
        if arguments.get("act") == "undo late" and call.attempt < 3:
            raise OutcomeUnknownError("the bank sleeps")
        if call.key not in self.outside.count("undo"):
            self.outside.note("undo", call.key)

    def manual_steps(self, arguments: dict[str, Any], remembered: dict[str, Any]) -> str:
        return f"Call the bank about order {arguments['order']}, which was {remembered['before']}."


class Refund(Deduplicated):
    name = "issue_refund"


class Charge(Deduplicated):
    name = "charge"


class Book(DeskTool):
    """Makes a booking each time, and can say whether there is one."""

    name = "book"
    effect = Effect.PROBEABLE

    def probe(self, arguments: dict[str, Any], call: Call) -> Any | None:
        return {"booked": True} if call.key in self.outside.count(self.name) else None


class Mail(DeskTool):
    name = "send_email"
    effect = Effect.UNSAFE


class Note(DeskTool):
    """Writes in our own Postgres, within the transaction that records the call."""

    name = "note"
    effect = Effect.TRANSACTIONAL
    has_compensation = True

    def execute(self, arguments: dict[str, Any], call: Call) -> Any:
        from tests.probe.models import ProbeRun

        ProbeRun.objects.create(name=call.key, revision=arguments["order"], pid=os.getpid(), asked_at=_epoch())
        if arguments.get("act") == "refuse":
            raise ToolError("the order is closed")
        return {"noted": arguments["order"]}

    def compensate(self, arguments: dict[str, Any], remembered: dict[str, Any], call: Call) -> Any:
        from tests.probe.models import ProbeRun

        ProbeRun.objects.filter(name=call.key.removesuffix("-undo")).delete()


TOOLS: tuple[type[DeskTool], ...] = (LookUp, Refund, Charge, Book, Mail, Note)


COST: Decimal | None = Decimal("0.001")


def say(content: list[dict[str, Any]], stop_reason: str) -> Answer:
    """Return an answer that costs a tenth of a cent."""
    usage = Usage(input_tokens=100, output_tokens=10, cached_tokens=0)
    return Answer(
        content=content, stop_reason=stop_reason, usage=usage, model="scripted", simulated=True, cost_usd=COST
    )


class Script:
    """Plays `turns` of the input: each a list of [tool, arguments], or {"fail": …}, or a text that ends the run.

    {"stop": reason, …} ends with another reason. Failures are consumed by a file, so that asking again goes on.
    """

    def __init__(self, outside: Outside) -> None:
        self.outside = outside
        self.asked: list[Request] = []

    def __call__(self, question: Request) -> Answer:
        self.asked.append(question)
        script = json.loads(question.messages[0]["content"])
        done = sum(message["role"] == "assistant" for message in question.messages)
        turn = script[min(done, len(script) - 1)]
        self.outside.note("model", question.run_id)
        if isinstance(turn, dict) and "fail" in turn:
            return self._fail(turn, script, done, question)
        if isinstance(turn, dict):
            return say(turn.get("content", [{"type": "text", "text": "…"}]), turn["stop"])
        if isinstance(turn, str):
            return say([{"type": "text", "text": turn}], "end_turn")
        # Another number in each answer: an answer that was not journaled is never acted on.
        nonce = len(self.outside.lines())
        uses = [
            {"type": "tool_use", "id": f"use-{done}-{ordinal}-{nonce}", "name": tool, "input": arguments}
            for ordinal, (tool, arguments) in enumerate(turn)
        ]
        return say([{"type": "text", "text": "I will do this."}, *uses], "tool_use")

    def _fail(self, turn: dict[str, Any], script: list[Any], done: int, question: Request) -> Answer:
        failures = self.outside.count("model-failed")[question.run_id]
        if failures < turn.get("times", 1):
            self.outside.note("model-failed", question.run_id)
            raise ModelError(turn["fail"], is_fatal=turn.get("fatal", False), retry_after_s=turn.get("retry_after_s"))
        return say([{"type": "text", "text": "At last."}], "end_turn")


def desk(path: Path, *, versions: dict[str, str] | None = None) -> Parts:
    """Return the parts of the agent, with the other side in a file."""
    outside = Outside(path)
    tools = {tool.name: tool(outside) for tool in TOOLS}
    hashes = {name: (versions or {}).get(name, "1") for name in tools}
    return Parts(
        system="Be good.", model_name="scripted", max_tokens=1_000, tools=tools, hashes=hashes, model=Script(outside)
    )


def _epoch() -> Any:
    from django.utils import timezone

    return timezone.now()
