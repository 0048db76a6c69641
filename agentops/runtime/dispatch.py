"""The dispatcher: what stands between an agent that asks for a tool and the tool.

Breaker, guard, schema, policy and saga look at a call in this order. Every refusal is a tool result that the model can
act on, with a `status` that says why. Works without Django, in anyone's agent.
"""

from collections.abc import Callable, Mapping
from typing import Any

from agentops.runtime import schema
from agentops.runtime.breaker import Breaker
from agentops.runtime.guard import Guard
from agentops.runtime.saga import Saga
from agentops.runtime.states import UndoStatus
from agentops.runtime.tools.base import Call, OutcomeUnknownError, Tool, ToolError

Policy = Callable[[Tool, dict[str, Any]], dict[str, Any] | None]
INVALID = frozenset({"unknown_tool", "invalid_arguments"})


def allow_everything(tool: Tool, arguments: dict[str, Any]) -> dict[str, Any] | None:
    """The policy of an agent that has none."""
    return None


class Dispatcher:
    """Looks at the calls of one run, in the order in which the agent asks for them."""

    def __init__(
        self,
        tools: Mapping[str, Tool],
        *,
        breaker: Breaker | None = None,
        guard: Guard | None = None,
        policy: Policy = allow_everything,
        saga: Saga | None = None,
    ) -> None:
        self.tools = tools
        self.breaker = breaker or Breaker()
        self.guard = guard or Guard()
        self.policy = policy
        self.saga = saga or Saga()

    def refusal(self, tool: str, arguments: Any, *, now_s: float | None = None) -> dict[str, Any] | None:
        """Count a call, and return why it may not be made, or None; the policy is asked last."""
        refused = self.breaker.refusal(tool, now_s=now_s)
        if refused is not None:
            return refused
        refused = (
            self.guard.refusal(tool, arguments)
            or schema.refusal(self.tools, tool, arguments)
            or self.policy(self.tools[tool], arguments)
        )
        if refused is not None:
            self.breaker.note(tool, is_ok=False, now_s=now_s)
        return refused

    def note(self, tool: str, *, is_ok: bool, now_s: float | None = None) -> None:
        """Say how the last call that was let through ended."""
        self.breaker.note(tool, is_ok=is_ok, now_s=now_s)
        self.guard.note(is_ok=is_ok)

    def run(self, tool: str, arguments: Any, call: Call) -> dict[str, Any]:
        """Make a call, unless it is refused, and return the tool result, whatever happened."""
        refused = self.refusal(tool, arguments)
        if refused is not None:
            return refused
        chosen = self.tools[tool]
        undoable = self.saga.register(chosen, arguments, call)
        try:
            result = {"status": "ok", "result": chosen.execute(arguments, call)}
        except ToolError as error:
            result = tool_error(str(error))
            if undoable is not None:
                undoable.status = UndoStatus.NOT_NEEDED
        except OutcomeUnknownError as error:
            result = {"status": "unknown", "reason": str(error), "retry": "do not repeat this call"}
        self.note(tool, is_ok=result["status"] == "ok")
        return result


def tool_error(reason: str) -> dict[str, Any]:
    """Return what the model is told of a call that failed for a reason it may act on."""
    return {"status": "error", "reason": reason}
