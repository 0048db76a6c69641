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
from tests.traces.otlp import CHAT, TOOL, Exporter, child, span
from tests.traces.test_otlp_joins import ASKS, CALL_ID
from traces.closing import close_quiet_traces
from traces.models import Trace
from traces.search.tasks import index_what_came

pytestmark = pytest.mark.django_db

NEAR = 3  # days: yesterday, today and tomorrow
NAMELESS = {key: one for key, one in TOOL.items() if key != "gen_ai.tool.call.id"}
LONE = CHAT | {"gen_ai.conversation.id": "c-2"}


def plans_of(do: Callable[[], None]) -> dict[str, str]:
    """Return the plan of each statement that reads or changes stored spans."""
    with CaptureQueriesContext(connection) as captured:
        do()
    asked = {query["sql"].strip() for query in captured.captured_queries}
    plans = {}
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE IF NOT EXISTS span_staging (LIKE traces_span)")  # a merge's, gone by now
        for statement in asked:
            if "traces_span " in statement and not statement.startswith(("COPY", "CREATE")):
                cursor.execute(f"EXPLAIN {statement}")
                plans[statement] = "\n".join(line for (line,) in cursor.fetchall())
    return plans


def partitions(plan: str) -> set[str]:
    return set(re.findall(r"traces_span_\d{8}", plan))


def test_a_span_is_looked_for_in_the_partitions_of_its_days(api: Api) -> None:
    exporter = Exporter(api.project)

    def everything() -> None:
        exporter.send(child(2, ASKS))
        for _ in range(2):
            exporter.send(child(4, TOOL | {"gen_ai.tool.call.id": CALL_ID}), child(6, NAMELESS))
        exporter.send(span(2, LONE, traceId=f"{1:032x}"))
        exporter.send(span(3, LONE, traceId=f"{2:032x}"))
        api.post([step(1), step(2, event_type="model_response", text="hello you")])
        api.post(step(1, is_error=True))
        index_what_came()
        run_due(["index", "detect"], overdue_s=0, for_s=10)
        assert api.get("traces", q="hello").json()["results"]
        Trace.objects.update(closes_at=Now() - timedelta(minutes=1))
        assert close_quiet_traces() > 1

    plans = plans_of(everything)
    assert len(plans) > 10
    assert {statement for statement, plan in plans.items() if len(partitions(plan)) > NEAR} == set()
    assert all(partitions(plan) for plan in plans.values())
