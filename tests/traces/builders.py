"""Builders for steps and batches; a test states only what it is about."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from agentops.accounts.models import Project
from traces.ingest.native import read_body
from traces.ingest.record import Origin
from traces.ingest.store import Receipt, store

AT = "2026-03-16T12:00:00Z"


def step(number: int = 1, trace: str = "t-1", **fields: Any) -> dict[str, Any]:
    return {
        "trace_id": trace,
        "step_number": number,
        "timestamp": AT,
        "event_type": "tool_call",
        "tool_name": "search_database",
        **fields,
    }


def send(project: Project, *steps: dict[str, Any], source: str = "native", **origin: Any) -> Receipt:
    """Store steps as the native door does."""
    batch = read_body(msgspec.json.encode(list(steps)), now=datetime.now(UTC))
    return store(project, batch, Origin(source=source, **origin))
