"""A trace's row: what lists show, kept up to date in the transaction that stores the spans."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from traces.costs import is_paid
from traces.ingest import shape
from traces.ingest.merge import Change
from traces.ingest.record import SpanRecord, TraceRecord
from traces.ingest.trace_rows import TraceRow

MAX_TOOLS = 100  # different tool names kept on a trace's row
# A running trace is closed after so long without a step, and after so long when its root has ended: what comes late has
# come by then.
QUIET, AFTER_ROOT, STEP = timedelta(minutes=10), timedelta(seconds=30), timedelta(seconds=10)
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


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
        if span.model:
            self.model = span.model
        started_at = span.started_at
        if self.started_at is None or started_at < self.started_at:
            self.started_at = started_at
        ended_at = span.ended_at or started_at
        if self.ended_at is None or ended_at > self.ended_at:
            self.ended_at = ended_at

    def _add_new(self, span: SpanRecord) -> None:
        self.spans += 1
        if span.input_tokens:
            self.input_tokens += span.input_tokens
        if span.output_tokens:
            self.output_tokens += span.output_tokens
        if span.cached_tokens:
            self.cached_tokens += span.cached_tokens
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

    def row_after(self, session: UUID | None, stand_in: str) -> TraceRow:
        """Return the trace's row as it is to be written. What it said stays; what it left open is filled.

        `stand_in` is the agent's name until a batch says one.
        """
        row, about = self.row, self.about
        drawn, stride = shape.extend(row.shape, row.shape_stride, row.steps, self.marks)
        is_priced = row.priced + self.priced > 0
        agent = row.agent or about.agent or about.service or stand_in
        after = msgspec.structs.replace(
            row,
            external_trace_id=row.external_trace_id or about.external_id,
            session_id=row.session_id or session,
            name=row.name or about.name,
            preview=row.preview or about.preview,
            agent=about.agent if about.agent and agent == about.service else agent,
            user=row.user or about.user,
            environment=row.environment or about.environment,
            release=row.release or about.release,
            model=self.model or row.model,
            root_ended_at=_latest(row.root_ended_at, about.root_ended_at),
            started_at=_earliest(row.started_at, self.started_at),
            ended_at=_latest(row.ended_at, self.ended_at),
            arrivals=self.arrivals,
            spans=row.spans + self.spans,
            steps=row.steps + len(self.marks),
            errors=row.errors + self.errors,
            input_tokens=row.input_tokens + self.input_tokens,
            output_tokens=row.output_tokens + self.output_tokens,
            cached_tokens=row.cached_tokens + self.cached_tokens,
            cost_usd=(row.cost_usd or 0) + self.cost_usd if is_priced else None,
            estimated_usd=row.estimated_usd + self.estimated_usd,
            priced=row.priced + self.priced,
            unpriced=row.unpriced + self.unpriced,
            tool_names=self._tools(),
            shape=drawn,
            shape_stride=stride,
        )
        self._open_or_close(after)
        return after

    def _tools(self) -> list[str]:
        known = self.row.tool_names
        return known if self.tool_names.keys() <= set(known) else sorted({*known, *self.tool_names})[:MAX_TOOLS]

    def _open_or_close(self, after: TraceRow) -> None:
        """Set the status, and when it was and will be closed.

        A status that was said stays until another is said. Steps that come after a trace was closed by silence reopen
        it; its `closes_at` tells: null where the sender closed it.
        """
        before, said, now = self.row, self.about.status, self.row.last_received_at
        if said in {"ok", "error"}:
            after.status, after.closed_at, after.closes_at = said, before.closed_at or now, None
            return
        if said or (self.spans > 0 and before.closes_at is not None):
            after.status, after.closed_at = "running", None
        was_closed = before.closed_at is not None and before.closes_at is None
        after.closes_at = None if was_closed and not said else _closes_at(now, after.root_ended_at)


def _closes_at(now: datetime, root_ended_at: datetime | None) -> datetime:
    """Return when a running trace is closed, unless steps arrive. Silence is told in steps of STEP: so most batches
    leave the time as it is, and the index on it."""
    return now + AFTER_ROOT if root_ended_at else now - (now - EPOCH) % STEP + STEP + QUIET


def _earliest(one: datetime | None, other: datetime | None) -> datetime | None:
    return min(one, other) if one and other else one or other


def _latest(one: datetime | None, other: datetime | None) -> datetime | None:
    return max(one, other) if one and other else one or other


def _first(stored: Any, sent: Any) -> Any:
    """Return what a merge keeps: what is stored, else what is sent."""
    return sent if stored is None else stored


def _failed(event_type: str | None, is_error: bool | None) -> bool:
    """Say whether a step counts as failed; a span that is no step does not."""
    return event_type is not None and (bool(is_error) or event_type == "error")


def _mark(span: SpanRecord) -> str:
    by_customer = span.event_type == "human_gate" and not span.approval_id and not span.decision
    return shape.mark(span.event_type or "", failed=span.failed, by_customer=by_customer)
