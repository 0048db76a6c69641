"""The mapping report: what was read in a project's newest traces, client by client, and what is missing."""

from collections import Counter
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from django.db import connection

from agentops.accounts.models import Project
from traces.ingest.dialects.base import all_dialects
from traces.ingest.needs import NEEDS, Need, State, Tally, fix, judge
from traces.ingest.record import NATIVE

TRACES, SPANS = 50, 100  # the newest traces, and at most so many spans of each
MADE_HERE = ("runtime", "demo", "import")  # not what a client of the project sent
CLIENTS_SHOWN = 8
NATIVE_FIXES = {
    "arguments": '"tool_input": {…}',
    "results": '"tool_output": …',
    "schemas": '"tools": [{"name": …, "schema": {…}}]',
    "tokens": '"input_tokens": n, "output_tokens": n',
    "texts": '"text": "…"',
    "session": '"session_id": "…"',
    "agent": '"agent": "my-agent"',
}

# Spans are taken by their id, so those of a long trace are a sample. A call that was only told of in messages belongs
# to the client that told it, which its own row does not name.
_READ = """
SELECT t.id, t.agent, t.session_id IS NOT NULL, s.dialect, s.scope, s.version,
    count(*) AS spans,
    count(*) FILTER (WHERE s.event_type = 'model_response') AS models,
    count(*) FILTER (WHERE s.event_type = 'tool_call') AS tools,
    count(*) FILTER (WHERE s.event_type = 'tool_call' AND s.is_told) AS told,
    count(*) FILTER (WHERE s.event_type = 'human_gate') AS gates,
    count(*) FILTER (WHERE s.event_type = 'error') AS errors,
    count(*) FILTER (WHERE s.event_type = 'tool_call' AND s.has_input) AS arguments,
    count(*) FILTER (WHERE s.event_type = 'tool_call' AND s.has_output) AS results,
    count(*) FILTER (WHERE s.event_type = 'model_response' AND s.toolset_id IS NOT NULL) AS schemas,
    count(*) FILTER (WHERE s.event_type = 'model_response' AND s.input_tokens IS NOT NULL) AS tokens,
    count(*) FILTER (WHERE s.event_type = 'model_response' AND s.has_text) AS texts,
    coalesce(bool_or(s.names_agent), false) AS names_agent,
    count(*) FILTER (WHERE s.parent_span_id IS NULL AND NOT s.is_told
        AND s.event_type IN ('model_response', 'tool_call')) AS alone
FROM (
    SELECT id, agent, session_id, project_id, trace_day FROM traces_trace
    WHERE project_id = %(project)s AND source <> ALL(%(made_here)s)
    ORDER BY received_at DESC, id DESC LIMIT %(traces)s
) AS t CROSS JOIN LATERAL (
    SELECT event_type, parent_span_id, toolset_id, input_tokens, span_id LIKE 'call-%%' AS is_told,
        input IS NOT NULL AS has_input, output IS NOT NULL AS has_output,
        coalesce(text, thinking) IS NOT NULL AS has_text,
        agent IS NOT NULL OR attributes #>> '{otel.resource,service.name}' IS NOT NULL AS names_agent,
        attributes ->> 'agentops.dialect' AS dialect, attributes ->> 'otel.scope.name' AS scope,
        attributes ->> 'otel.scope.version' AS version
    FROM traces_span p
    WHERE p.project_id = t.project_id AND p.trace_day = t.trace_day AND p.trace_ref_id = t.id LIMIT %(spans)s
) AS s GROUP BY 1, 2, 3, 4, 5, 6
"""


class Row(NamedTuple):
    """What one instrumentation gave of one trace."""

    trace: UUID
    agent: str
    in_session: bool
    dialect: str | None
    scope: str | None
    version: str | None
    spans: int
    models: int
    tools: int
    told: int
    gates: int
    errors: int
    arguments: int
    results: int
    schemas: int
    tokens: int
    texts: int
    names_agent: bool
    alone: int

    @property
    def steps(self) -> int:
        return self.models + self.tools + self.gates + self.errors


class Line(msgspec.Struct, frozen=True):
    """One need of one client: how much of it came, and what would bring the rest."""

    need: Need
    state: State
    have: int
    expected: int
    fix: str

    @property
    def is_short(self) -> bool:
        return self.state in {State.MISSING, State.PARTLY}


class Client(msgspec.Struct, frozen=True):
    """What one dialect brought."""

    dialect: str
    tally: Tally
    scopes: list[tuple[str, str]]  # name and version, as sent
    agents: list[str]
    lines: list[Line]  # none where no span was a step

    @property
    def missing(self) -> list[Line]:
        return [line for line in self.lines if line.is_short]

    @property
    def found(self) -> list[Line]:
        return self._of(State.FOUND)

    @property
    def unknown(self) -> list[Line]:
        return self._of(State.UNKNOWN)

    @property
    def never(self) -> list[Line]:
        return self._of(State.NEVER)

    def _of(self, state: State) -> list[Line]:
        return [line for line in self.lines if line.state is state]


def report(project: Project) -> list[Client]:
    """Return what the newest traces of a project brought, the client with the most steps first. One query."""
    with connection.cursor() as cursor:
        sent: dict[str, Any] = {"project": project.pk, "made_here": list(MADE_HERE), "traces": TRACES, "spans": SPANS}
        cursor.execute(_READ, sent)
        rows = [Row(*row) for row in cursor.fetchall()]
    return sorted((_client(*group) for group in _grouped(rows).items()), key=lambda one: -one.tally.steps)


def _grouped(rows: list[Row]) -> dict[str, list[Row]]:
    """Return the rows of each dialect; told calls go with the one that gave most steps of their trace."""
    main: dict[UUID, Row] = {}
    for row in rows:
        if row.dialect and (row.trace not in main or row.steps > main[row.trace].steps):
            main[row.trace] = row
    groups: dict[str, list[Row]] = {}
    for row in rows:
        dialect = row.dialect or (main[row.trace].dialect if row.trace in main else None) or NATIVE
        groups.setdefault(dialect, []).append(row)
    return groups


def _client(dialect: str, rows: list[Row]) -> Client:
    known = {one.name: one for one in all_dialects()}
    tally = _tally(rows)
    if dialect == NATIVE:
        tally.have["parents"] = tally.traces  # steps are numbered, and need no parents
    fixes = known[dialect].fixes if dialect in known else NATIVE_FIXES
    never = known[dialect].never if dialect in known else frozenset()
    lines = [
        Line(need, judge(need, tally, never), tally.have[need.name], getattr(tally, need.of), fix(need, fixes))
        for need in (NEEDS if tally.steps else ())
    ]
    scopes = sorted({(row.scope, row.version or "") for row in rows if row.scope})
    agents = sorted({row.agent for row in rows if row.agent})
    return Client(dialect, tally, scopes[:CLIENTS_SHOWN], agents[:CLIENTS_SHOWN], lines)


def _tally(rows: list[Row]) -> Tally:
    sums: Counter[str] = Counter()
    traces: dict[UUID, list[Row]] = {}
    for row in rows:
        sums.update({name: getattr(row, name) for name in (*SUMMED, *HAD)})
        traces.setdefault(row.trace, []).append(row)
    return Tally(
        **{name: sums[name] for name in SUMMED},
        traces=len(traces),
        have={name: sums[name] for name in HAD}
        | {
            "session": sum(some[0].in_session for some in traces.values()),
            "agent": sum(any(row.names_agent for row in some) for some in traces.values()),
            "parents": sum(not _is_alone(some) for some in traces.values()),
        },
    )


SUMMED = ("spans", "models", "tools", "told", "gates", "errors")
HAD = ("arguments", "results", "schemas", "tokens", "texts")


def _is_alone(rows: list[Row]) -> bool:
    """Say whether calls of a run came without a span around them; one question to a model alone is a whole run."""
    return any(row.alone for row in rows) and (rows[0].in_session or any(row.tools for row in rows))
