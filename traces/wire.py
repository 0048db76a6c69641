"""Stored steps in the words of the wire format, for the API, the export and the raw view; and traces, for the API."""

from datetime import datetime
from typing import Any

import msgspec

from traces.models import Trace
from traces.queries import Step


def step_as_sent(step: Step) -> dict[str, Any]:
    """Return a step as it was sent, with the ids and the number it was given; what was not sent is null."""
    span, trace = step.span, step.trace
    sent: dict[str, Any] = {
        "trace_id": trace.id_hex,
        "span_id": span.span_id,
        "parent_span_id": span.parent_span_id,
        "session_id": trace.session.session_id if trace.session else None,
        "step_number": step.number,
        "timestamp": _time(span.started_at),
        "event_type": span.event_type,
        "agent": span.agent,
        "name": span.name,
        "tool_name": span.tool_name,
        "tool_input": _json(span.input),
        "tool_output": _json(span.output),
        "text": span.text,
        "model_thinking": span.thinking,
        "is_error": span.is_error,
        "error": span.error,
        "model": span.model,
        "provider": span.provider,
        "context_token_count": span.context_tokens,
        "input_tokens": span.input_tokens,
        "output_tokens": span.output_tokens,
        "cached_tokens": span.cached_tokens,
        "cache_written_tokens": span.cache_written_tokens,
        "cost_usd": None if span.cost_usd is None else float(span.cost_usd),
        "estimated_usd": None if span.estimated_usd is None else float(span.estimated_usd),
        "duration_ms": step.duration_ms,
        "approval_id": span.approval_id,
        "decision": span.decision,
        "tools": span.toolset.tools if span.toolset else None,
        "metadata": span.attributes or {},
        "received_at": _time(span.received_at),
    }
    if span.original_timestamp:
        sent["original_timestamp"] = span.original_timestamp
    return sent


def trace_as_shown(trace: Trace, *, patterns: list[str], base_url: str) -> dict[str, Any]:
    """Return a trace as the API shows it (api/serializers.py says what each field is), with what was found in it."""
    return {
        "trace_id": trace.id_hex,
        "external_trace_id": trace.external_trace_id,
        "session_id": trace.session.session_id if trace.session else None,
        "name": trace.title,
        "agent": trace.agent,
        "user": trace.user,
        "environment": trace.environment,
        "release": trace.release,
        "model": trace.model,
        "status": trace.status,
        "started_at": _time_or_null(trace.started_at),
        "ended_at": _time_or_null(trace.ended_at),
        "received_at": _time(trace.received_at),
        "steps": trace.steps,
        "errors": trace.errors,
        "input_tokens": trace.input_tokens,
        "output_tokens": trace.output_tokens,
        "cached_tokens": trace.cached_tokens,
        "cost_usd": None if trace.cost_usd is None else float(trace.cost_usd),
        "estimated_usd": float(trace.estimated_usd),
        "unpriced": trace.unpriced,
        "tool_names": trace.tool_names,
        "patterns": patterns,
        "stopped_at": _time_or_null(trace.stopped_at),
        "backfill": trace.backfill,
        "url": base_url + trace.get_absolute_url(),
    }


def _json(text: str | None) -> Any:
    return None if text is None else msgspec.json.decode(text)


def _time(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _time_or_null(moment: datetime | None) -> str | None:
    return None if moment is None else _time(moment)
