"""What an export holds is read back to the same rows, whatever the steps say."""

from collections.abc import Collection
from typing import Any

import msgspec
import pytest

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


ODD = "\u202e\U0001f600\ufffd <b>\x1b[0m"
EVERYTHING = {
    "session_id": ODD, "approval_id": "a-1", "parent_span_id": "root", "tool_name": ODD, "agent": ODD, "user": ODD,
    "name": ODD, "model": ODD, "decision": "approved", "environment": ODD, "release": "1", "text": ODD,
    "model_thinking": ODD, "error": ODD, "trace_name": ODD, "tool_input": {ODD: [None, 1.5, -(2**63), {}]},
    "tool_output": [[], "", True, 2**64 - 1, 1e300], "input_tokens": 0, "output_tokens": 2_147_483_647,
    "cached_tokens": 1, "cache_written_tokens": 3, "provider": ODD, "context_token_count": 2,
    "is_error": False, "duration_ms": 0.001, "cost_usd": 175.23955023975014,
    "metadata": {"a.b": {"c": ODD}}, "tools": [{"name": ODD, "schema": {"type": "object"}, "risk": "low"}],
}  # fmt: skip


def test_an_export_is_read_back_to_the_same_rows() -> None:
    project, other = make_project(), make_project()
    send(project, step(1, "a", **EVERYTHING), step(2, "a", tool_output=None), step(0, "a", span_id="last/1"))
    send(project, step(2, "a", tool_output="late", duration_ms=31_622_400_001, is_error=True))
    send(project, step(2_147_483_647, "b/c", tool_input="", tool_output=0, metadata={}), step(3, "b/c", text=""))
    send(project, {"trace_id": "b/c", "trace_status": "error"}, step(1, "0af7651916cd43dd8448eb211c80319c"))
    sent = exported(project)
    assert send(other, *sent).rejected == []
    assert rows(other) == rows(project)
    again = send(other, *sent)
    assert (again.accepted, again.rejected) == (0, [])
