"""A run of an agent, told step by step in the words of the wire format; used to write demo data by hand."""

from datetime import UTC, datetime, timedelta
from typing import Any, Self

USD_A_TOKEN = {"in": 3e-6, "out": 15e-6}
MODEL = "demo-model-1"


class Run:
    """One trace of the demo: it says in every place that has a name for it that it is invented."""

    def __init__(self, agent: str, trace: str, *, began: datetime, session: str = "", name: str = "") -> None:
        self.began = self.at = began
        self.steps: list[dict[str, Any]] = []
        self.about = {"trace_id": f"demo {trace}", "agent": agent, "environment": "demo", "user": "demo-customer"}
        self.about |= {"session_id": f"demo {session or trace}"} | ({"trace_name": name} if name else {})

    @property
    def trace_id(self) -> str:
        return self.about["trace_id"]

    def customer(self, text: str) -> Self:
        """A person says something."""
        return self._add(0.4, event_type="human_gate", text=text, agent="customer")

    def model(self, text: str = "", *, took_s: float = 2.4, context: int = 0, **more: Any) -> Self:
        """The model answers; without a text it only decides what to call."""
        sent = context or 900 + 310 * len(self.steps)
        tokens = {"input_tokens": sent, "output_tokens": 40 + len(text) // 4, "context_token_count": sent}
        cost = tokens["input_tokens"] * USD_A_TOKEN["in"] + tokens["output_tokens"] * USD_A_TOKEN["out"]
        said = {"text": text} if text else {}
        return self._add(
            took_s, event_type="model_response", model=MODEL, cost_usd=round(cost, 6), **tokens, **said, **more
        )

    def call(self, tool: str, arguments: Any, result: Any, *, took_s: float = 0.3, error: str = "") -> Self:
        """A tool is called and answers."""
        failed = {"is_error": True, "error": error} if error else {}
        return self._add(
            took_s, event_type="tool_call", tool_name=tool, tool_input=arguments, tool_output=result, **failed
        )

    def gate(self, decision: str, *, waited_s: float, text: str) -> Self:
        """A person decides about what the agent wants to do."""
        approval = f"demo-approval-{len(self.steps)}"
        return self._add(waited_s, event_type="human_gate", approval_id=approval, decision=decision, text=text)

    def error(self, text: str) -> Self:
        return self._add(0.1, event_type="error", error=text)

    def end(self, status: str = "ok") -> Self:
        self.steps[-1]["trace_status"] = status
        return self

    def _add(self, took_s: float, **fields: Any) -> Self:
        timestamp, duration = self.at.isoformat(), round(took_s * 1_000)
        place = {"step_number": len(self.steps) + 1, "timestamp": timestamp, "duration_ms": duration}
        self.steps.append({**self.about, **place, **fields})
        self.at += timedelta(seconds=took_s + 0.05)
        return self


def ago(**span: float) -> datetime:
    return datetime.now(UTC) - timedelta(**span)
