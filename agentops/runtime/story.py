"""The run's story: one trace, told while the run goes on, in the transaction that writes the row a step tells of.

Span ids and step numbers stand in the rows, so a step that is told twice changes nothing.
"""

from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog

from agentops.runtime.gate import Verdict
from agentops.runtime.models import Compensation, ModelTurn, Run, ToolCall
from agentops.runtime.parts import Parts
from traces.detectors.base import UNDOES
from traces.ingest.native import read_items
from traces.ingest.record import Origin
from traces.ingest.store import store

LONGEST_NAME = 80

log = structlog.get_logger(__name__)

Item = dict[str, Any]


def next_number(run: Run) -> int:
    """Return the number of the run's next step, and keep it. The caller holds the run's row."""
    run.steps += 1
    run.save(update_fields=["steps"])
    return run.steps


def tell(run: Run, *items: Item) -> None:
    """Store steps, or a word on the trace itself, in the caller's transaction."""
    about = {"trace_id": run.trace_id.hex}
    if run.session_id:
        about["session_id"] = run.session_id
    # In one order of keys: what comes back from a column of JSON has another than what the model sent.
    raw = [msgspec.json.encode({**about, **item}, order="deterministic") for item in items]
    batch = read_items(raw, now=datetime.now(UTC))
    if batch.rejected:
        log.error("step_of_run_rejected", run=str(run.pk), errors=msgspec.to_builtins(batch.rejected))
    store(run.project, batch, Origin(source="runtime", agent=run.agent))


def opened(run: Run, at: datetime) -> None:
    """Tell that the run begins, and with which words of a person."""
    name = f"{run.agent}: {' '.join(run.input.split())}"[:LONGEST_NAME]
    tell(
        run,
        {"trace_status": "running", "trace_name": name, "agent": run.agent},
        {
            "span_id": "input",
            "step_number": next_number(run),
            "timestamp": at,
            "event_type": "human_gate",
            "agent": "user",
            "text": run.input,
        },
    )


def answered(run: Run, turn: ModelTurn, parts: Parts) -> None:
    """Tell what the model answered, and which tools it was offered."""
    tell(
        run,
        {
            "span_id": turn_span(turn.turn),
            "step_number": turn.step_number,
            "timestamp": turn.asked_at,
            "duration_ms": _ms(turn.asked_at, turn.answered_at),
            "event_type": "model_response",
            "agent": run.agent,
            "model": turn.model,
            "text": said(turn.content, "text"),
            "model_thinking": said(turn.content, "thinking"),
            "input_tokens": turn.input_tokens,
            "output_tokens": turn.output_tokens,
            "cached_tokens": turn.cached_tokens,
            "context_token_count": turn.input_tokens,
            "cost_usd": None if turn.cost_usd is None else float(turn.cost_usd),
            "tools": [
                {"name": tool.name, "schema": tool.schema, "risk": str(tool.risk)} for tool in parts.tools.values()
            ],
            "metadata": {"agentops.simulated": turn.is_simulated, "agentops.stop_reason": turn.stop_reason},
        },
    )


def called(run: Run, call: ToolCall, *, at: datetime, ended_at: datetime) -> None:
    """Tell of a call that was made or refused, with its result."""
    call.step_number = call.step_number or next_number(run)
    is_known = call.status != "unknown"
    tell(
        run,
        {
            "span_id": call_span(call),
            "parent_span_id": turn_span(call.turn),
            "step_number": call.step_number,
            "timestamp": at,
            "duration_ms": _ms(at, ended_at),
            "event_type": "tool_call",
            "agent": run.agent,
            "tool_name": call.tool,
            "tool_input": call.runs_with,
            "tool_output": call.result if is_known else None,
            "is_error": not call.is_ok,
            "error": None if call.is_ok else reason_of(call),
            "approval_id": str(call.approval_id) if call.approval_id else None,
            "metadata": {"agentops.status": call.status, "agentops.effect": call.effect},
        },
    )


def gated(run: Run, call: ToolCall, verdict: Verdict) -> None:
    """Tell that a person is asked, and once it is decided, what they said."""
    asked_at = call.asked_at or call.decided_at
    call.gate_step_number = call.gate_step_number or next_number(run)
    is_open = verdict.status == "pending"
    tell(
        run,
        {
            "span_id": f"{call_span(call)}-gate-{call.asks}",
            "parent_span_id": turn_span(call.turn),
            "step_number": call.gate_step_number,
            "timestamp": asked_at,
            "duration_ms": None if is_open or verdict.decided_at is None else _ms(asked_at, verdict.decided_at),
            "event_type": "human_gate",
            "tool_name": call.tool,
            "tool_input": call.arguments,
            "approval_id": str(verdict.id),
            "decision": None if is_open else verdict.status,
            "agent": None if is_open else verdict.decided_by or None,
            "text": None if is_open else verdict.comment or None,
        },
    )


def undone(run: Run, compensation: Compensation, *, at: datetime, ended_at: datetime, error: str) -> None:
    """Tell that an effect was undone, or could not be."""
    call = compensation.call
    tell(
        run,
        {
            "span_id": f"{call_span(call)}-undo",
            "parent_span_id": turn_span(call.turn),
            "step_number": compensation.step_number,
            "timestamp": at,
            "duration_ms": _ms(at, ended_at),
            "event_type": "tool_call",
            "agent": run.agent,
            "tool_name": f"undo_{call.tool}",
            "tool_input": compensation.arguments,
            "tool_output": {"status": compensation.status},
            "is_error": bool(error),
            "error": error or None,
            "metadata": {UNDOES: call_span(call)},
        },
    )


def failed(run: Run, reason: str, *, at: datetime) -> None:
    """Tell of an error that is no tool's: the model gave no answer, or the run ended badly."""
    number = next_number(run)
    step = {"span_id": f"error-{number}", "step_number": number, "timestamp": at, "event_type": "error"}
    tell(run, {**step, "agent": run.agent, "text": reason, "error": reason, "is_error": True})


def ended(run: Run, status: str) -> None:
    """Close the trace as ok or error, or open it again as running."""
    tell(run, {"trace_status": status})


def turn_span(turn: int) -> str:
    return f"turn-{turn}"


def call_span(call: ToolCall) -> str:
    return f"call-{call.turn}-{call.ordinal}"


def reason_of(call: ToolCall) -> str:
    """Say why a call has no good result."""
    result = call.result if isinstance(call.result, dict) else {}
    return str(result.get("reason") or result.get("status") or call.status)


def said(content: list[dict[str, Any]], kind: str) -> str | None:
    """Return the text, or the thinking, of an answer's blocks."""
    return "\n\n".join(block[kind] for block in content if block.get("type") == kind and block.get(kind)) or None


def _ms(start: datetime, end: datetime) -> float:
    return max((end - start).total_seconds(), 0.0) * 1_000
