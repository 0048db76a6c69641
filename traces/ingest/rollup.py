"""The sums on a trace's row: what lists show, kept up to date in the transaction that stores the spans."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection

from traces.costs import is_paid
from traces.ingest import shape
from traces.ingest.merge import Change
from traces.ingest.record import SpanRecord, TraceRecord
from traces.ingest.upsert import CLOSING, MAX_TOOLS, TraceRow, as_json


class Sums:
    """What one batch adds to one trace."""

    def __init__(self, row: TraceRow, about: TraceRecord) -> None:
        self.row = row
        self.key = row.id.bytes
        self.about = about
        self.arrivals = row.arrivals
        self.spans = self.errors = 0
        self.input_tokens = self.output_tokens = self.cached_tokens = 0
        self.cost_usd = self.estimated_usd = Decimal(0)
        self.priced = self.unpriced = 0
        self.started_at: datetime | None = None
        self.ended_at: datetime | None = None
        self.model = ""
        self.tool_names: dict[str, None] = {}
        self.marks: list[str] = []

    def take_arrival(self) -> int:
        """Return the next place in the order of arrival; a duplicate leaves a gap, which harms nobody."""
        self.arrivals += 1
        return self.arrivals - 1

    def add(self, span: SpanRecord, before: Change | None) -> None:
        """Add a span; `before` is what was stored of it, or None for a new one."""
        if before is None:
            self._add_new(span)
        else:
            self._add_change(span, before)
            if not before.added:
                return
        if span.tool_name and len(self.tool_names) < MAX_TOOLS:
            self.tool_names[span.tool_name] = None
        self.model = span.model or self.model
        if self.started_at is None or span.started_at < self.started_at:
            self.started_at = span.started_at
        ended_at = span.ended_at or span.started_at
        if self.ended_at is None or ended_at > self.ended_at:
            self.ended_at = ended_at

    def _add_new(self, span: SpanRecord) -> None:
        self.spans += 1
        self.input_tokens += span.input_tokens or 0
        self.output_tokens += span.output_tokens or 0
        self.cached_tokens += span.cached_tokens or 0
        self._add_cost(span.event_type, span.is_error, span.cost_usd, span.estimated_usd)
        if span.event_type:
            self.marks.append(_mark(span))
            self.errors += span.failed

    def _add_change(self, span: SpanRecord, before: Change) -> None:
        """Add what the span says and did not say before: what is stored stays, so only a null counts."""
        self._change_cost(span, before)
        if span.event_type and before.event_type is None:
            self.marks.append(_mark(span))
        self.errors += _failed(_first(before.event_type, span.event_type), _first(before.is_error, span.is_error))
        self.errors -= _failed(before.event_type, before.is_error)
        self.input_tokens += (span.input_tokens or 0) if before.input_tokens is None else 0
        self.output_tokens += (span.output_tokens or 0) if before.output_tokens is None else 0
        self.cached_tokens += (span.cached_tokens or 0) if before.cached_tokens is None else 0

    def _change_cost(self, span: SpanRecord, before: Change) -> None:
        """Take the cost away that was stored, and add what a merge left."""
        if before.added:
            self._add_cost(before.event_type, before.is_error, before.cost_usd, before.estimated_usd, sign=-1)
            event_type, is_error = _first(before.event_type, span.event_type), _first(before.is_error, span.is_error)
            self._add_cost(event_type, is_error, _first(before.cost_usd, span.cost_usd), before.estimate)

    def _add_cost(
        self,
        event_type: str | None,
        is_error: bool | None,
        given: Decimal | None,
        estimate: Decimal | None,
        sign: int = 1,
    ) -> None:
        usd = _first(given, estimate)
        if usd is None:
            self.unpriced += sign * is_paid(event_type, is_error)
            return
        self.priced += sign
        self.cost_usd += sign * usd
        if given is None:
            self.estimated_usd += sign * usd

    def as_row(self) -> dict[str, Any]:
        """Return what is added to the row, by the names in _APPLY."""
        drawn, stride = shape.extend(self.row.shape, self.row.shape_stride, self.row.steps, self.marks)
        return {
            "id": self.row.id,
            "spans": self.spans,
            "steps": len(self.marks),
            "errors": self.errors,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cached_tokens": self.cached_tokens,
            "cost_usd": self.cost_usd,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "model": self.model,
            "tools": list(self.tool_names),
            "shape": drawn,
            "stride": stride,
            "status": self.about.status,
            "arrivals": self.arrivals,
            "root_ended_at": self.about.root_ended_at,
            "agent": self.about.service and self.about.agent,
            "service": self.about.service,
            "estimated_usd": self.estimated_usd,
            "priced": self.priced,
            "unpriced": self.unpriced,
        }


def _first(stored: Any, sent: Any) -> Any:
    """Return what a merge keeps: what is stored, else what is sent."""
    return sent if stored is None else stored


def _failed(event_type: str | None, is_error: bool | None) -> bool:
    """Say whether a step counts as failed; a span that is no step does not."""
    return event_type is not None and (bool(is_error) or event_type == "error")


def _mark(span: SpanRecord) -> str:
    by_customer = span.event_type == "human_gate" and not span.approval_id and not span.decision
    return shape.mark(span.event_type or "", failed=span.failed, by_customer=by_customer)


# A status that was said stays until another is said. Steps that come after a trace was closed by silence reopen it;
# its `closes_at` tells: null where the sender closed it. An agent's name takes the place of its service's.
_APPLY = """
UPDATE traces_trace t SET
    arrivals = v.arrivals,
    spans = t.spans + v.spans,
    steps = t.steps + v.steps,
    errors = t.errors + v.errors,
    input_tokens = t.input_tokens + v.input_tokens,
    output_tokens = t.output_tokens + v.output_tokens,
    cached_tokens = t.cached_tokens + v.cached_tokens,
    cost_usd = CASE WHEN t.priced + v.priced > 0 THEN coalesce(t.cost_usd, 0) + v.cost_usd END,
    estimated_usd = t.estimated_usd + v.estimated_usd,
    priced = t.priced + v.priced,
    unpriced = t.unpriced + v.unpriced,
    started_at = least(t.started_at, v.started_at),
    ended_at = greatest(t.ended_at, v.ended_at),
    model = coalesce(nullif(v.model, ''), t.model),
    tool_names = CASE WHEN t.tool_names @> ARRAY(SELECT jsonb_array_elements_text(v.tools)) THEN t.tool_names
        ELSE ARRAY(
            SELECT unnest(t.tool_names) UNION SELECT jsonb_array_elements_text(v.tools) ORDER BY 1 LIMIT %(max_tools)s
        ) END,
    shape = v.shape,
    shape_stride = v.stride,
    status = CASE WHEN v.status <> '' THEN v.status
        WHEN v.spans > 0 AND t.closes_at IS NOT NULL THEN 'running'
        ELSE t.status END,
    closed_at = CASE WHEN v.status IN ('ok', 'error') THEN coalesce(t.closed_at, now())
        WHEN v.status = 'running' OR (v.spans > 0 AND t.closes_at IS NOT NULL) THEN NULL
        ELSE t.closed_at END,
    closes_at = CASE WHEN v.status IN ('ok', 'error') THEN NULL
        WHEN v.status = '' AND t.closes_at IS NULL AND t.closed_at IS NOT NULL THEN NULL
        WHEN v.root_ended_at IS NOT NULL OR t.root_ended_at IS NOT NULL
            THEN now() + make_interval(secs => %(after_root_s)s)
        ELSE date_bin(make_interval(secs => %(step_s)s), now(), 'epoch') + make_interval(secs => %(quiet_s)s) END,
    root_ended_at = greatest(t.root_ended_at, v.root_ended_at),
    agent = CASE WHEN v.agent <> '' AND t.agent = v.service THEN v.agent ELSE t.agent END
FROM json_to_recordset(%(sums)s::json) AS v (
    id uuid, spans int, steps int, errors int, input_tokens bigint, output_tokens bigint, cached_tokens bigint,
    cost_usd numeric, started_at timestamptz, ended_at timestamptz, model text, tools jsonb, shape text, stride int,
    status text, arrivals int, root_ended_at timestamptz, agent text, service text, estimated_usd numeric, priced int,
    unpriced int)
WHERE t.id = v.id
"""


def apply(sums: Iterable[Sums]) -> None:
    """Add the sums to the trace rows. One statement."""
    rows = [each.as_row() for each in sums]
    if not rows:
        return
    with connection.cursor() as cursor:
        cursor.execute(_APPLY, {"sums": as_json(rows), "max_tools": MAX_TOOLS, **CLOSING})
