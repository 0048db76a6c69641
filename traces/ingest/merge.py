"""What happens to spans that are there already: what is new is filled in, a later end taken, a contradiction marked.

The rows of traces that are there are locked before this runs, so no other batch can write the same spans meanwhile.
"""

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from traces.ingest.clean import MAX_ATTRIBUTES
from traces.ingest.columns import COLUMNS, KEY, NAMES, copy_rows
from traces.ingest.cost import Estimator


class Change(NamedTuple):
    """What was stored of a span before a merge, and whether the merge added anything."""

    added: bool
    event_type: str | None
    is_error: bool | None
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    cost_usd: Decimal | None
    estimated_usd: Decimal | None
    estimate: Decimal | None  # of the cost, after the merge


class _Merged(NamedTuple):
    """What an estimate of the cost is made of, after a merge."""

    event_type: str | None
    model: str | None
    provider: str | None
    started_at: datetime
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    cache_written_tokens: int | None
    cost_usd: Decimal | None


DIALECT = "agentops.dialect"  # what reads a span may change with what it says; see otlp_record.py
# Attributes that are new join those that are stored, while there is room.
_ROOM = f"coalesce(pg_column_size(s.attributes), 0) < {MAX_ATTRIBUTES}"
_NEW_ATTRIBUTES = f"{_ROOM} AND n.attributes - ARRAY(SELECT jsonb_object_keys(s.attributes)) <> '{{}}'"
_USING = " AND ".join([*(f"s.{name} = n.{name}" for name in KEY), "s.trace_day = ANY(%(days)s)"])
_FILLED = [column.name for column in COLUMNS if column.merge == "fill"]
_ADDED = " OR ".join(
    [
        *(f"(s.{name} IS NULL AND n.{name} IS NOT NULL)" for name in _FILLED),
        "n.ended_at > s.ended_at",
        "s.ended_at IS NULL AND n.ended_at IS NOT NULL",
        "(s.synthetic_time AND NOT n.synthetic_time)",
        f"({_NEW_ATTRIBUTES})",
    ]
)
# Times that a door made up (a file without a clock, an absurd time) contradict nothing.
_MADE_UP = "s.synthetic_time OR n.synthetic_time OR n.original_timestamp IS NOT NULL"
_CONTRADICTS = " OR ".join(
    [
        *(f"(s.{name} <> n.{name})" for name in _FILLED),
        f"(s.started_at <> n.started_at AND NOT ({_MADE_UP}))",
        f"((s.attributes || n.attributes) - '{DIALECT}' <> (n.attributes || s.attributes) - '{DIALECT}')",
    ]
)
_PREVIEWS = ", ".join(f"{name} = coalesce(s.{name}, n.{name})" for name in ("input_preview", "output_preview"))
_SET = ", ".join(f"{name} = coalesce(s.{name}, n.{name})" for name in _FILLED)

_STARTED = "CASE WHEN s.synthetic_time AND NOT n.synthetic_time THEN n.started_at ELSE s.started_at END"
_MERGED = ", ".join(_STARTED if name == "started_at" else f"coalesce(s.{name}, n.{name})" for name in _Merged._fields)
_IS_OTHER = f"({_MERGED}) IS DISTINCT FROM ({', '.join(f's.{name}' for name in _Merged._fields)})"
_FIND = f"""
SELECT s.trace_ref_id, s.span_id, ({_ADDED}) IS TRUE, s.event_type, s.is_error, s.input_tokens, s.output_tokens,
       s.cached_tokens, s.cost_usd, s.estimated_usd, {_IS_OTHER}, {_MERGED}
FROM span_staging n JOIN traces_span s ON {_USING}
"""  # noqa: S608 - built from COLUMNS alone
_UPDATE = f"""
UPDATE traces_span s SET {_SET}, {_PREVIEWS},
       attributes = CASE WHEN {_NEW_ATTRIBUTES} THEN n.attributes || coalesce(s.attributes, '{{}}')
           ELSE s.attributes END,
       ended_at = greatest(s.ended_at, n.ended_at),
       started_at = {_STARTED},
       estimated_usd = CASE WHEN {_IS_OTHER} THEN n.estimated_usd ELSE s.estimated_usd END,
       synthetic_time = s.synthetic_time AND n.synthetic_time,
       arrival = CASE WHEN ({_ADDED}) THEN n.arrival ELSE s.arrival END,
       revised = s.revised OR ({_CONTRADICTS}) IS TRUE
FROM span_staging n WHERE {_USING} AND (({_ADDED}) OR ({_CONTRADICTS}))
"""  # noqa: S608 - built from COLUMNS alone
_ESTIMATE = """
UPDATE span_staging n SET estimated_usd = v.usd
FROM unnest(%s::uuid[], %s::text[], %s::numeric[]) AS v (trace, span, usd)
WHERE n.trace_ref_id = v.trace AND n.span_id = v.span
"""
_INSERT = f"""
INSERT INTO traces_span ({NAMES})
SELECT {NAMES} FROM span_staging n WHERE NOT EXISTS (SELECT FROM traces_span s WHERE {_USING})
"""  # noqa: S608 - built from COLUMNS alone


def merge(values: Iterable[tuple[Any, ...]], days: Iterable[date]) -> dict[tuple[UUID, str], Change]:
    """Write rows of some days, of which some are there; return what was stored of those, by (trace row, span id).

    Four statements, one more where a cost is to be estimated anew. No two of the rows may have the same key.
    """
    sent = {"days": list(days)}
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE IF NOT EXISTS span_staging (LIKE traces_span) ON COMMIT DROP")
        cursor.execute("TRUNCATE span_staging")
        copy_rows("span_staging", values)
        cursor.execute(_FIND, sent)
        found, anew = _changes(cursor.fetchall())
        if anew:
            cursor.execute(_ESTIMATE, [list(column) for column in zip(*anew, strict=True)])
        cursor.execute(_UPDATE, sent)
        cursor.execute(_INSERT, sent)
    return found


def _changes(
    rows: list[tuple[Any, ...]],
) -> tuple[dict[tuple[UUID, str], Change], list[tuple[UUID, str, Decimal | None]]]:
    """Return what each span was, and the estimates of those of which a merge changes what their cost is made of."""
    found: dict[tuple[UUID, str], Change] = {}
    anew: list[tuple[UUID, str, Decimal | None]] = []
    estimator, width = Estimator(), len(Change._fields)
    for trace, span, *rest in rows:
        *before, is_other = rest[:width]
        change = Change._make([*before, before[-1]])
        if is_other:
            change = change._replace(estimate=estimator.estimate(_Merged(*rest[width:])))
            anew.append((trace, span, change.estimate))
        found[trace, span] = change
    return found, anew
