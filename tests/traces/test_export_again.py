"""What an export holds is read back to the same rows, whatever the steps say."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentops.accounts.models import Project
from tests.builders import make_project
from tests.traces.builders import send, step
from traces.export import export
from traces.ingest.columns import COLUMNS
from traces.models import Span, Trace

pytestmark = pytest.mark.django_db

# Where a row lies and when it came, and what was noted when it was received first.
OF_RECEIPT = {"project_id", "trace_day", "trace_ref_id", "received_at", "arrival", "toolset_id"}
OF_RECEIPT |= {"repaired", "original_timestamp"}
PREVIEWS = {"input_preview", "output_preview"}  # of what was cut, its JSON was quoted since
OURS = {"id", "project", "session", "trace_day", "received_at", "last_received_at", "closes_at", "closed_at"}
OURS |= {"arrivals", "shape", "shape_stride", "preview", "model"}  # these go by the order in which steps came
NAMES = [column.name for column in COLUMNS if column.name not in OF_RECEIPT]
SUMS = [field.name for field in Trace._meta.concrete_fields if field.name not in OURS]


def rows(project: Project, without: Collection[str] = ()) -> tuple[list[Any], list[Any]]:
    spans = Span.objects.of(project).order_by("trace_ref__trace_id", "span_id")
    traces = Trace.objects.of(project).order_by("trace_id")
    return list(spans.values_list(*(name for name in NAMES if name not in without), "toolset__tools")), list(
        traces.values_list(*SUMS, "session__session_id")
    )


def exported(project: Project) -> list[dict[str, Any]]:
    lines = [line for trace in Trace.objects.of(project) for line in export(trace)]
    return [msgspec.json.decode(line) for line in lines]


def test_what_was_cut_is_not_cut_again() -> None:
    project, other = make_project(), make_project()
    long, name = "a\"'\\\n" * 400_000, "x" * 300
    fields = {"text": long, "error": long, "model_thinking": long, "tool_name": name, "agent": name, "trace_name": name}
    send(project, step(1, tool_input={"q": long}, tool_output=long, metadata={"note": long}, **fields))
    send(project, step(2, tool_input=long, tool_output=[long]))
    again = send(other, *exported(project))
    assert (again.accepted, again.repaired) == (3, 0)
    for mine, theirs in zip(rows(project, PREVIEWS), rows(other, PREVIEWS), strict=True):
        assert theirs == mine
    send(project, *exported(project))
    assert not Span.objects.filter(revised=True).exists()


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SAID = st.none() | TEXT
COUNT = st.none() | st.integers(0, 2_147_483_647)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
ID = st.none() | TEXT.filter(bool)
START = datetime(2000, 1, 1, tzinfo=UTC).replace(tzinfo=None)  # as the strategy takes it
MOMENT = st.datetimes(START, START.replace(year=2001), timezones=st.just(UTC))
STEP = st.fixed_dictionaries(
    {
        "trace_id": st.sampled_from(["a", "b/c", "0af7651916cd43dd8448eb211c80319c"]),
        "step_number": st.integers(0, 5) | st.just(2_147_483_647),
        "timestamp": MOMENT,
        "event_type": st.sampled_from(["tool_call", "model_response", "error", "human_gate"]),
    },
    optional={
        **dict.fromkeys(["span_id", "parent_span_id", "session_id", "approval_id"], ID),
        **dict.fromkeys(["tool_name", "agent", "user", "name", "model", "decision", "environment", "release"], SAID),
        **dict.fromkeys(["text", "model_thinking", "error", "trace_name"], SAID),
        **dict.fromkeys(["tool_input", "tool_output"], JSON),
        **dict.fromkeys(["input_tokens", "output_tokens", "cached_tokens", "context_token_count"], COUNT),
        "is_error": st.none() | st.booleans(),
        "duration_ms": st.none() | st.floats(0, 1e9),
        "cost_usd": st.none() | st.floats(0, 1_000),
        "metadata": st.none() | st.dictionaries(TEXT, JSON, max_size=3),
        "tools": st.none()
        | st.lists(st.fixed_dictionaries({"name": TEXT.filter(bool), "schema": st.just({})}), max_size=2),
        "trace_status": st.sampled_from(["running", "ok", "error"]),
    },
)


@settings(
    deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(batches=st.lists(st.lists(STEP, min_size=1, max_size=4), min_size=1, max_size=2))
def test_an_export_is_read_back_to_the_same_rows(batches: list[list[dict[str, Any]]]) -> None:
    with transaction.atomic():
        project, other = make_project(), make_project()
        for batch in batches:
            send(project, *batch)
        sent = exported(project)
        assert send(other, *sent).rejected == []
        assert rows(other) == rows(project)
        again = send(other, *sent)
        assert (again.accepted, again.rejected) == (0, [])
        transaction.set_rollback(True)
