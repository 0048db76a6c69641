"""The statements that join the calls of a batch with what is stored; see joins.py."""

from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from django.db import connection

from traces.ingest.otlp_record import SAID
from traces.ingest.record import SpanRecord, ToolsetRecord
from traces.ingest.shape import BARS


class Stored(NamedTuple):
    """A span of another batch, as far as a join needs it."""

    call_id: str | None
    trace: UUID
    trace_ref: UUID
    trace_day: date
    span_id: str
    parent_span_id: str | None
    event_type: str | None
    tool_name: str | None
    agent: str | None
    started_at: datetime
    ended_at: datetime | None
    synthetic_time: bool
    input: str | None
    input_hash: int | None
    input_preview: str | None
    output: str | None
    output_hash: int | None
    output_size: int | None
    output_preview: str | None
    model: str | None
    provider: str | None
    decision: str | None
    is_error: bool | None
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    cache_written_tokens: int | None
    context_tokens: int | None
    cost_usd: Decimal | None
    text: str | None
    thinking: str | None
    error: str | None
    toolset: bytes | None  # the hash of the tools that were offered

    @property
    def is_told(self) -> bool:
        return (self.call_id or "").startswith(SAID)

    def record(self) -> SpanRecord:
        fields = self._asdict()
        del fields["trace_ref"], fields["trace_day"]
        # The tools themselves are stored, and found by their hash.
        fields["toolset"] = ToolsetRecord(bytes(self.toolset), []) if self.toolset else None
        return SpanRecord(**fields, is_told=self.is_told)


class Wanted(msgspec.Struct):
    """What the stored spans are found by that may tell of the calls of a batch."""

    calls: set[str] = set()  # as in Span.call_id
    of_traces: set[tuple[UUID, str]] = set()  # traces and such calls, of which others may have the same
    spans: list[tuple[UUID, str]] = []  # traces and ids of spans that log records name
    named: list[SpanRecord] = []  # tools' spans that name no call


# The spans of some calls in the days that are near. Written so that it is planned in half a millisecond: partitions are
# left out by days that are constants, and of calls from a subquery the planner assumes a few. It would look each of
# them up in its statistics otherwise, and, expecting more, start two processes for what four index pages answer.
BY_CALL = """s.project_id = %(project)s AND s.call_id = ANY(ARRAY(SELECT json_array_elements_text(%(calls)s)))
    AND s.trace_day BETWEEN %(yesterday)s AND %(tomorrow)s"""

_OTHERWISE = {"call_id", "trace", "trace_ref", "toolset"}
_TOOLSET = "(SELECT x.sha256 FROM traces_toolset x WHERE x.id = s.toolset_id)"
_FIELDS = ", ".join([*(f"s.{name}" for name in Stored._fields if name not in _OTHERWISE), _TOOLSET])
_FIND = f"""
SELECT s.call_id, t.trace_id, s.trace_ref_id, {_FIELDS}
FROM traces_span s JOIN traces_trace t ON t.id = s.trace_ref_id
WHERE {BY_CALL}
"""  # noqa: S608 - built from the fields of Stored and constants alone
# What names a call within its trace alone: all stored spans of a tool without ids of calls have the same, for one.
_FIND_OF_TRACES = f"""
SELECT s.call_id, t.trace_id, s.trace_ref_id, {_FIELDS}
FROM traces_trace t JOIN traces_span s
    ON s.project_id = t.project_id AND s.trace_day = t.trace_day AND s.trace_ref_id = t.id
WHERE t.project_id = %(project)s AND t.trace_id = ANY(%(traces)s) AND s.call_id = ANY(%(calls)s)
    AND s.trace_day = ANY(%(days)s)
"""  # noqa: S608 - built from the fields of Stored alone
# A tool's span without an id of its call stands for the calls of its tool in its trace that were told of before it.
_FIND_NAMED = f"""
SELECT s.call_id, t.trace_id, s.trace_ref_id, {_FIELDS}
FROM traces_trace t JOIN traces_span s
    ON s.project_id = t.project_id AND s.trace_day = t.trace_day AND s.trace_ref_id = t.id
WHERE t.project_id = %(project)s AND t.trace_id = ANY(%(traces)s) AND s.tool_name = ANY(%(tools)s)
    AND s.trace_day = ANY(%(days)s) AND s.span_id >= 'call-' AND s.span_id < 'call.'
"""  # noqa: S608 - built from the fields of Stored alone
# The spans that log records were made in.
_FIND_SPANS = f"""
SELECT s.call_id, t.trace_id, s.trace_ref_id, {_FIELDS}
FROM unnest(%(traces)s::uuid[], %(ids)s::text[]) AS g (trace_id, span_id)
    JOIN traces_trace t ON t.project_id = %(project)s AND t.trace_id = g.trace_id
    JOIN traces_span s ON s.project_id = t.project_id AND s.trace_day = t.trace_day AND s.trace_ref_id = t.id
        AND s.span_id = g.span_id
WHERE s.trace_day = ANY(%(days)s) AND s.event_type IS NOT NULL
"""  # noqa: S608 - built from the fields of Stored alone
_REMOVE = """
WITH gone AS (
    DELETE FROM traces_span s USING unnest(%(days)s::date[], %(refs)s::uuid[], %(ids)s::text[]) AS g (day, ref, id)
    WHERE s.project_id = %(project)s AND s.trace_day = g.day AND s.trace_ref_id = g.ref AND s.span_id = g.id
        AND s.trace_day = ANY(%(among)s)
    RETURNING s.trace_ref_id
)
UPDATE traces_trace t SET spans = t.spans - n.n, steps = t.steps - n.n
FROM (SELECT trace_ref_id, count(*)::int AS n FROM gone GROUP BY 1 ORDER BY 1) AS n WHERE t.id = n.trace_ref_id
"""
_SILENCE = """
WITH before AS (
    SELECT s.* FROM traces_span s
    JOIN unnest(%(days)s::date[], %(refs)s::uuid[], %(ids)s::text[]) AS g (day, ref, id)
        ON s.trace_day = g.day AND s.trace_ref_id = g.ref AND s.span_id = g.id
    WHERE s.project_id = %(project)s AND s.event_type IS NOT NULL AND s.trace_day = ANY(%(among)s)
    FOR UPDATE OF s
), silent AS (
    UPDATE traces_span s SET event_type = NULL, input_tokens = NULL, output_tokens = NULL, cached_tokens = NULL,
        cache_written_tokens = NULL, context_tokens = NULL, cost_usd = NULL, estimated_usd = NULL
    FROM before b WHERE s.project_id = b.project_id AND s.trace_day = b.trace_day
        AND s.trace_ref_id = b.trace_ref_id AND s.span_id = b.span_id AND s.trace_day = ANY(%(among)s)
)
UPDATE traces_trace t SET steps = t.steps - n.n, errors = t.errors - n.failed, input_tokens = t.input_tokens - n.input,
    output_tokens = t.output_tokens - n.output, cached_tokens = t.cached_tokens - n.cached,
    cost_usd = CASE WHEN t.priced > n.priced THEN t.cost_usd - n.cost END,
    estimated_usd = t.estimated_usd - n.estimated, priced = t.priced - n.priced, unpriced = t.unpriced - n.unpriced
FROM (
    SELECT trace_ref_id, count(*)::int AS n, count(*) FILTER (WHERE is_error)::int AS failed,
        coalesce(sum(input_tokens), 0) AS input, coalesce(sum(output_tokens), 0) AS output,
        coalesce(sum(cached_tokens), 0) AS cached, coalesce(sum(coalesce(cost_usd, estimated_usd)), 0) AS cost,
        coalesce(sum(estimated_usd), 0) AS estimated,
        count(coalesce(cost_usd, estimated_usd))::int AS priced, count(*) FILTER (
            WHERE event_type = 'model_response' AND coalesce(cost_usd, estimated_usd) IS NULL AND is_error IS NOT TRUE
        )::int AS unpriced
    FROM before GROUP BY 1
) AS n WHERE t.id = n.trace_ref_id
"""
# A reader that has folded what is gone now must begin anew: it does for a step that comes late in step order.
_READ_AGAIN = """
UPDATE traces_span s SET arrival = t.arrivals
FROM (SELECT id, project_id, trace_day, arrivals FROM traces_trace WHERE id = ANY(%(refs)s::uuid[])) AS t
WHERE s.project_id = t.project_id AND s.trace_day = t.trace_day AND s.trace_day = ANY(%(among)s)
    AND s.trace_ref_id = t.id AND s.span_id = (
    SELECT f.span_id FROM traces_span f
    WHERE f.project_id = t.project_id AND f.trace_day = t.trace_day AND f.trace_ref_id = t.id
        AND f.trace_day = ANY(%(among)s) AND f.event_type IS NOT NULL
    ORDER BY coalesce(f.step_number, 2147483647), f.started_at, coalesce(f.ended_at, 'infinity'), f.span_id LIMIT 1
)
"""
_ARRIVED = "UPDATE traces_trace SET arrivals = arrivals + 1 WHERE id = ANY(%(refs)s::uuid[])"
# The bars of a short trace without what is gone, as shape.mark has them; in a long one a bar stands for several steps.
_REDRAW = """
UPDATE traces_trace t SET shape_stride = 1, shape = (
    SELECT coalesce(string_agg(CASE
        WHEN s.is_error OR s.event_type = 'error' THEN 'e'
        WHEN s.event_type = 'tool_call' THEN 't'
        WHEN s.event_type = 'human_gate' AND s.approval_id IS NULL AND s.decision IS NULL THEN 'c'
        WHEN s.event_type = 'human_gate' THEN 'g' ELSE 'm' END, ''
        ORDER BY coalesce(s.step_number, 2147483647), s.started_at, coalesce(s.ended_at, 'infinity'), s.span_id), '')
    FROM traces_span s WHERE s.project_id = t.project_id AND s.trace_day = t.trace_day AND s.trace_ref_id = t.id
        AND s.trace_day = ANY(%(among)s) AND s.event_type IS NOT NULL)
WHERE t.id = ANY(%(refs)s::uuid[]) AND t.steps < %(bars)s
"""
_FORGET_INPUT = """
UPDATE traces_span s SET input = NULL, input_hash = NULL, input_preview = NULL
FROM unnest(%(days)s::date[], %(refs)s::uuid[], %(ids)s::text[]) AS g (day, ref, id)
WHERE s.project_id = %(project)s AND s.trace_day = g.day AND s.trace_ref_id = g.ref AND s.span_id = g.id
    AND s.trace_day = ANY(%(among)s)
"""


def by_call(calls: Iterable[str]) -> dict[str, Any]:
    """Return what BY_CALL is asked with. It looks in one day more than there can be: our clock may be behind."""
    today = datetime.now(UTC).date()
    return {
        "calls": msgspec.json.encode(sorted(calls)).decode(),
        "yesterday": today - timedelta(days=1),
        "tomorrow": today + timedelta(days=1),
    }


def find(project_id: UUID, wanted: Wanted, days: Collection[date]) -> list[Stored]:
    """Return the stored spans that may tell of the same calls. One statement for each of the ways to look.

    `days` are those of the traces that are named.
    """
    ways: list[tuple[str, dict[str, Any]]] = []
    if wanted.calls:
        ways.append((_FIND, by_call(wanted.calls)))
    if wanted.of_traces:
        among, calls = (list(set(each)) for each in zip(*wanted.of_traces, strict=True))
        ways.append((_FIND_OF_TRACES, {"traces": among, "calls": calls, "days": list(days)}))
    if wanted.spans:
        traces, ids = zip(*sorted(set(wanted.spans)), strict=True)
        ways.append((_FIND_SPANS, {"traces": list(traces), "ids": list(ids), "days": list(days)}))
    if wanted.named:
        own = wanted.named
        tools = [one.tool_name for one in own]
        ways.append((_FIND_NAMED, {"traces": [one.trace for one in own], "tools": tools, "days": list(days)}))
    found: list[Stored] = []
    with connection.cursor() as cursor:
        for statement, sent in ways:
            cursor.execute(statement, {"project": project_id, **sent})
            found += [Stored(*row) for row in cursor.fetchall()]
    return found


def remove(project_id: UUID, gone: list[Stored]) -> None:
    """Delete told calls whose own span has come, and let readers begin anew."""
    _change(project_id, gone, _REMOVE, _REDRAW, _READ_AGAIN, _ARRIVED)


def silence(project_id: UUID, echoes: list[Stored]) -> None:
    """Make plain spans of records whose call another span tells of now."""
    _change(project_id, echoes, _SILENCE, _REDRAW, _READ_AGAIN, _ARRIVED)


def forget_input(project_id: UUID, spans: list[Stored]) -> None:
    """Make room for arguments that are better than those of a tool's own span."""
    _change(project_id, spans, _FORGET_INPUT)


def _change(project_id: UUID, spans: list[Stored], *statements: str) -> None:
    if not spans:
        return
    sent: dict[str, Any] = {
        "project": project_id,
        "days": [span.trace_day for span in spans],
        "among": list({span.trace_day for span in spans}),
        "refs": [span.trace_ref for span in spans],
        "ids": [span.span_id for span in spans],
        "bars": 2 * BARS,
    }
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement, sent)
