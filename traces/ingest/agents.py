"""How many agents a project may have: lists, filters and alerts are by agent, and a name for each run would drown them.

What is beyond goes under one name; its steps keep the name they were sent with, and count as repaired.
"""

import time
from collections.abc import Iterable
from uuid import UUID

import msgspec
from django.db import connection

from traces.ingest.record import SpanRecord, TraceRecord

MAX_AGENTS = 1_000  # of a project; each web process counts for itself and looks at the traces every minute
OTHERS = "other agents"
FRESH_S = 60.0
PROJECTS = 1_000

# One step of the index for each name, however many traces have it.
_NAMES = """
WITH RECURSIVE names AS (
    (SELECT agent FROM traces_trace WHERE project_id = %(project)s ORDER BY agent LIMIT 1)
    UNION ALL
    SELECT (SELECT t.agent FROM traces_trace t WHERE t.project_id = %(project)s AND t.agent > n.agent
            ORDER BY t.agent LIMIT 1)
    FROM names n WHERE n.agent IS NOT NULL
)
SELECT agent FROM names WHERE agent NOT IN ('', %(others)s) LIMIT %(most)s
"""


class Known:
    """The agents of one project, as far as this process knows them."""

    def __init__(self, project_id: UUID) -> None:
        self.project_id = project_id
        self.names: set[str] = set()
        self.fresh_until = 0.0

    def takes(self, name: str) -> bool:
        """Say whether traces may go under this name; one that is new takes a place. One query a minute at most."""
        if name in self.names or name == OTHERS:
            return True
        if time.monotonic() >= self.fresh_until:
            self._look()
        if name not in self.names and len(self.names) >= MAX_AGENTS:
            return False
        self.names.add(name)
        return True

    def _look(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(_NAMES, {"project": self.project_id, "others": OTHERS, "most": MAX_AGENTS})
            self.names = {name for (name,) in cursor.fetchall()}
        self.fresh_until = time.monotonic() + FRESH_S


_known: dict[UUID, Known] = {}


def limit_agents(project_id: UUID, traces: Iterable[TraceRecord], spans: list[SpanRecord]) -> list[SpanRecord]:
    """Put traces of agents beyond MAX_AGENTS under OTHERS, and return the spans with those of such traces marked."""
    if len(_known) >= PROJECTS:
        _known.clear()
    known = _known.setdefault(project_id, Known(project_id))
    limited = set()
    for about in traces:
        if about.agent and not known.takes(about.agent):
            about.agent = OTHERS
            limited.add(about.trace)
        if about.service and not about.agent and not known.takes(about.service):
            about.service = OTHERS
            limited.add(about.trace)
    if not limited:
        return spans
    return [msgspec.structs.replace(span, repaired=True) if span.trace in limited else span for span in spans]
