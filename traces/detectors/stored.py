"""What a look at a trace reads and writes, in plain SQL: it is taken for every few steps that come in.

Composing these statements anew would cost more than running them.
"""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from django.db import connection
from isal import isal_zlib

from traces.detectors.base import RESULT_CHARS, UNDOES
from traces.ingest.record import ASKED
from traces.models import Trace
from traces.queries import LAST

AT_ONCE = 1_000  # rows in memory


class StoredStep(NamedTuple):
    """A row of a step, without its bodies but for the arguments and what detectors declare."""

    span_id: str
    parent_span_id: str | None
    step_number: int | None
    event_type: str
    tool_name: str | None
    agent: str | None
    started_at: datetime
    ended_at: datetime | None
    arrival: int
    is_error: bool | None
    synthetic_time: bool
    input_tokens: int | None
    output_tokens: int | None
    context_tokens: int | None
    cost_usd: Decimal | None
    estimated_usd: Decimal | None
    approval_id: str | None
    decision: str | None
    input_hash: int | None
    output_hash: int | None
    output_size: int | None
    output_preview: str | None
    toolset_id: UUID | None
    input: str | None
    error: str | None
    text: str | None  # only with needs = {"text"}
    asked: str | None  # the same: a list as JSON
    output_start: str | None  # only with needs = {"result"}
    says_truncated: str | None  # only with needs = {"truncated"}
    undoes: str | None  # only with needs = {"undoes"}


class Kept(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What one detector remembers of a trace; its state stays JSON until it is asked for."""

    fingerprint: str
    state: msgspec.Raw
    absent: list[tuple[str, str]] = []  # hits that stand because of a silence: kind and onset span


class Setting(NamedTuple):
    """What a project set for a detector (traces.detectors.models.DetectorSettings)."""

    enabled: bool = True
    thresholds: dict[str, Any] = {}
    shadow: bool = False
    candidate: dict[str, Any] | None = None


class Saved(msgspec.Struct, kw_only=True):
    """What was remembered of a trace (traces.detectors.models.DetectorState), and what its project set."""

    arrivals: int = 0
    last_key: list[Any] | None = None
    toolsets: dict[str, str] = {}
    states: dict[str, Kept] = {}
    coverage: dict[str, list[str]] = {}
    settings: dict[str, Setting] = {}  # {detector: what is not as built in}


# Columns of StoredStep: what is read for them, and the need with which it is. Attributes may be long, and are fetched
# anew for each expression: so only of the steps that it is asked of.
_OF_MODEL = "CASE WHEN event_type = 'model_response' THEN attributes {} END"
_OF_TOOL = "CASE WHEN event_type = 'tool_call' THEN attributes {} END"
WITH_NEEDS = {
    "text": ("text", "text"),
    "asked": ("text", _OF_MODEL.format(f"-> '{ASKED}'")),
    "output_start": ("result", f"left(output, {RESULT_CHARS})"),
    "says_truncated": ("truncated", _OF_TOOL.format("->> 'truncated'")),
    "undoes": ("undoes", _OF_TOOL.format(f"->> '{UNDOES}'")),
}
# The project is left out: with it, the planner takes the primary key and reads the whole trace.
_STEPS = """
SELECT {columns} FROM traces_span
WHERE trace_day = %s AND trace_ref_id = %s AND arrival >= %s AND event_type IS NOT NULL
ORDER BY coalesce(step_number, {last}), started_at, coalesce(ended_at, 'infinity'), span_id
"""
_SAVED = """
SELECT s.arrivals, s.last_key, s.toolsets, s.states,
    (SELECT jsonb_object_agg(detector, jsonb_build_array(enabled, thresholds, shadow, candidate))
     FROM detectors_detectorsettings WHERE project_id = %s)
FROM (SELECT) AS one LEFT JOIN detectors_detectorstate s ON s.trace_id = %s
"""
_SAVE = """
INSERT INTO detectors_detectorstate AS s (trace_id, arrivals, last_key, toolsets, states, coverage)
VALUES (%s, %s, %s::jsonb, %s::jsonb, %s, %s::jsonb)
ON CONFLICT (trace_id) DO UPDATE SET arrivals = excluded.arrivals, last_key = excluded.last_key,
    toolsets = excluded.toolsets, states = excluded.states, coverage = excluded.coverage
"""
# Once a trace: the spans around its steps that never came, in one order, whatever came first.
_LOST = """
SELECT DISTINCT s.parent_span_id FROM traces_span s
WHERE s.project_id = %(project)s AND s.trace_day = %(day)s AND s.trace_ref_id = %(trace)s
    AND s.event_type IS NOT NULL AND s.parent_span_id IS NOT NULL
    AND NOT EXISTS (SELECT FROM traces_span p
        WHERE p.project_id = s.project_id AND p.trace_day = s.trace_day AND p.trace_ref_id = s.trace_ref_id
            AND p.span_id = s.parent_span_id)
ORDER BY 1 LIMIT 100
"""
_AGENT = "SELECT EXISTS (SELECT FROM traces_span WHERE trace_day = %s AND trace_ref_id = %s AND agent IS NOT NULL)"


@lru_cache(maxsize=8)
def _steps_statement(needs: frozenset[str]) -> str:
    declared = {column: read if need in needs else "NULL" for column, (need, read) in WITH_NEEDS.items()}
    return _STEPS.format(columns=", ".join(declared.get(column, column) for column in StoredStep._fields), last=LAST)


def load(trace: Trace, needs: frozenset[str], *, since: int = 0) -> Iterator[StoredStep]:
    """Yield the steps of a trace from a place in the order of arrival on, in step order.

    One query, which reads nothing older, and of bodies only what a detector needs; a thousand rows at a time.
    """
    are_many = trace.arrivals - since > AT_ONCE
    with connection.chunked_cursor() if are_many else connection.cursor() as cursor:
        cursor.execute(_steps_statement(needs), [trace.trace_day, trace.pk, since])
        while rows := cursor.fetchmany(AT_ONCE):
            yield from map(StoredStep._make, rows)


def lost_parents(trace: Trace) -> tuple[str, ...]:
    """Return the ids of the first hundred spans that steps of a trace are under, and that never came. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_LOST, {"project": trace.project_id, "day": trace.trace_day, "trace": trace.pk})
        return tuple(parent for (parent,) in cursor.fetchall())


def names_agent(trace: Trace) -> bool:
    """Say whether a span of a trace names the agent that ran. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_AGENT, [trace.trace_day, trace.pk])
        return bool(cursor.fetchone()[0])


_decode_states = msgspec.json.Decoder(dict[str, Kept]).decode


def packed(states: dict[str, Kept]) -> bytes:
    """Return states as they are kept: JSON that zlib has packed.

    They are written for every few steps and read by nobody else. To read 30 kB of JSON and to pack them by its own
    means costs Postgres four times what bytes cost it, and all in all more than twice as much.
    """
    return isal_zlib.compress(msgspec.json.encode(states), 1)


def unpacked(states: bytes) -> dict[str, Kept]:
    return _decode_states(isal_zlib.decompress(states)) if states else {}


def saved_of(trace: Trace) -> Saved:
    """Return what is remembered of a trace, empty for a new one, with what its project set. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_SAVED, [trace.project_id, trace.pk])
        arrivals, *texts = cursor.fetchone()
    last_key, toolsets, states, settings = texts
    set_here = msgspec.json.decode(settings) if settings else {}
    saved = Saved(settings={name: Setting(*row) for name, row in set_here.items()})
    if arrivals is not None:
        saved.arrivals, saved.states = arrivals, unpacked(states)
        saved.last_key, saved.toolsets = (text and msgspec.json.decode(text) for text in (last_key, toolsets))
    return saved


def save(trace: Trace, saved: Saved) -> None:
    """Write what is remembered of a trace. One statement."""
    last_key, toolsets, coverage = (
        msgspec.json.encode(value).decode() for value in (saved.last_key, saved.toolsets, saved.coverage)
    )
    with connection.cursor() as cursor:
        cursor.execute(_SAVE, [trace.pk, saved.arrivals, last_key, toolsets, packed(saved.states), coverage])
