"""What is asked of the span table names its days: of a year of partitions only those are planned that may be read."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from agentops.jobs.runner import run_due
from tests.traces.api import Api
from tests.traces.builders import step
from tests.traces.otlp import TOOL, Exporter, child
from tests.traces.test_otlp_joins import ASKS, CALL_ID
from tests.traces.test_otlp_logs import BARE, of_details
from tests.traces.test_threads import turn
from traces import closing
from traces.ingest import joins_sql, merge, threads_sql, trace_rows
from traces.models import Trace
from traces.search import find, index

pytestmark = pytest.mark.django_db

NEAR = 3  # days: yesterday, today and tomorrow
NAMELESS = {key: one for key, one in TOOL.items() if key != "gen_ai.tool.call.id"}
# By its own name each statement that is written by hand; those of the ORM have the day of one trace.
STATEMENTS = {
    f"{room.__name__}.{name}": " ".join(getattr(room, name).split())
    for room, names in {
        joins_sql: (
            "_FIND",
            "_FIND_OF_TRACES",
            "_FIND_NAMED",
            "_FIND_SPANS",
            "_REMOVE",
            "_SILENCE",
            "_READ_AGAIN",
            "_REDRAW",
        ),
        merge: ("_FIND", "_UPDATE", "_INSERT"),
        threads_sql: ("_CALLS", "_MOVE"),
        trace_rows: ("_SPEAKING",),
        closing: ("_CLOSE",),
        find: ("_STEP",),
        index: ("_SPANS",),
    }.items()
    for name in names
}


def plans_of(do: Callable[[], None]) -> dict[str, str]:
    """Return the plan of each statement that reads or changes stored spans."""
    with CaptureQueriesContext(connection) as captured:
        do()
    asked = {" ".join(query["sql"].split()) for query in captured.captured_queries}
    plans = {}
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE IF NOT EXISTS span_staging (LIKE traces_span)")  # a merge's, gone by now
        for statement in asked:
            if re.search(r"\btraces_span\b", statement) and not statement.startswith(("COPY", "CREATE")):
                cursor.execute(f"EXPLAIN {statement}")
                plans[statement] = "\n".join(line for (line,) in cursor.fetchall())
    return plans


def is_asked(statement: str, asked: set[str]) -> bool:
    """Say whether a statement is among those that were asked, whatever its parameters were."""
    parts = [re.escape(part) for part in re.split(r"%\(\w+\)s|%s|\{\}", statement.replace("%%", "%"))]
    return any(re.search(".*?".join(parts), one) for one in asked)


def partitions(plan: str) -> set[str]:
    return set(re.findall(r"traces_span_\d{8}", plan))


def test_a_span_is_looked_for_in_the_partitions_of_its_days(api: Api) -> None:
    exporter = Exporter(api.project, "ingest")

    def everything() -> None:
        of_details(exporter)
        exporter.send(child(2, BARE), child(3, ASKS))
        for _ in range(2):
            exporter.send(child(4, TOOL | {"gen_ai.tool.call.id": CALL_ID}), child(6, NAMELESS))
        for number in (1, 3, 2):
            exporter.send(turn(number, 3))
        api.post([step(1), step(2, event_type="model_response", text="hello you")])
        api.post(step(1, is_error=True, agent="somebody"))
        index.index_waiting(api.project.pk)
        run_due(["detect"], overdue_s=0, for_s=10)
        assert api.get("traces", q="hello").json()["results"]
        Trace.objects.update(closes_at=Now() - timedelta(minutes=1))
        assert closing.close_quiet_traces() > 1

    plans = plans_of(everything)
    assert {name for name, one in STATEMENTS.items() if not is_asked(one, plans.keys())} == set()
    assert {statement for statement, plan in plans.items() if len(partitions(plan)) > NEAR} == set()
    assert all(partitions(plan) for plan in plans.values())
