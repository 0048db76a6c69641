"""Of what demo runs are made: messages, answers and calls, and the native steps that a run of them becomes."""

from datetime import datetime, timedelta
from typing import Any

Step = dict[str, Any]
Run = list[Step]


def customer(text: str) -> Step:
    return {"event_type": "human_gate", "text": text, "took_s": 0.0, "then_s": 0.4}


def says(text: str, tokens: int = 1_400) -> Step:
    return {
        "event_type": "model_response",
        "text": text,
        "model": "claude-sonnet-4-5",
        "input_tokens": tokens,
        "output_tokens": max(len(text) // 4, 12),
        "context_token_count": tokens,
        "cost_usd": round(tokens * 3e-6 + len(text) * 4e-6, 5),
        "took_s": 1.7,
    }


def calls(tool: str, arguments: Any, result: Any, *, error: str = "", took_s: float = 0.4) -> Step:
    step: Step = {"event_type": "tool_call", "tool_name": tool, "tool_input": arguments, "tool_output": result}
    return {**step, "took_s": took_s, **({"is_error": True, "error": error} if error else {})}


def order(number: int, status: str) -> Step:
    return calls("get_order", {"order_id": number}, {"order_id": number, "status": status, "total": "189.00 USD"})


def native(name: str, agent: str, title: str, run: Run, *, ended: datetime, is_over: bool) -> list[Step]:
    """Give a run its ids, numbers and times; a step that is lost has a number and is not sent."""
    begin = ended - timedelta(seconds=sum(step["took_s"] + step.get("then_s", 0.3) for step in run))
    about = {"trace_id": f"demo-{name}-{ended:%Y%m%dT%H%M%S}", "session_id": f"demo-{name}", "environment": "demo",
             "trace_name": f"Demo: {title}", "release": "demo-1", "user": "demo customer"}  # fmt: skip
    steps: list[Step] = []
    at = begin
    for number, step in enumerate(run, 1):
        sent = {name: value for name, value in step.items() if name not in {"took_s", "then_s", "is_lost"}}
        who = {} if step["event_type"] == "human_gate" else {"agent": agent}
        times = {"timestamp": at.isoformat(), "duration_ms": step["took_s"] * 1000}
        if not step.get("is_lost"):
            steps.append({**about, **who, **sent, "step_number": number, **times})
        at += timedelta(seconds=step["took_s"] + step.get("then_s", 0.3))
    if is_over:
        steps.append({"trace_id": about["trace_id"], "trace_status": "error" if steps[-1].get("is_error") else "ok"})
    return steps
