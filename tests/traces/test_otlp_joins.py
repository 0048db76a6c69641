"""Calls that several batches tell of, as detection sees them: each call once, whatever came first."""

import json
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest

from tests.builders import make_project
from tests.traces.otlp import Exporter, child, span
from traces.detectors.base import Step
from traces.detectors.fold import detect_trace
from traces.detectors.tool_loop import ToolLoop
from traces.ingest.joins import wanted_by
from traces.ingest.joins_sql import find
from traces.ingest.record import SpanRecord
from traces.models import Span

pytestmark = pytest.mark.django_db
CALL_ID = "call_0123456789abcdef"
ASKS = {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "m",
    "gen_ai.output.messages": json.dumps(
        [{"role": "assistant", "parts": [{"type": "tool_call", "id": CALL_ID, "name": "pay", "arguments": {"n": 1}}]}]
    ),
}
TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "pay", "gen_ai.tool.call.id": CALL_ID}


@pytest.fixture
def exporter() -> Exporter:
    return Exporter(make_project())


def test_the_span_of_a_tool_takes_the_place_of_the_call_that_was_told(exporter: Exporter) -> None:
    exporter.send(child(2, ASKS))
    assert [one.tool_name for one in exporter.steps()] == [None, "pay"]
    assert exporter.trace().steps == 2
    exporter.send(child(4, TOOL))
    call = exporter.steps()[-1]
    assert (call.span_id, call.input, call.parent_span_id) == (f"{4:016x}", '{"n":1}', f"{1:016x}")
    assert (exporter.trace().steps, exporter.trace().spans, len(exporter.spans())) == (2, 2, 2)


def test_detection_begins_anew_when_a_call_it_has_seen_is_replaced(
    exporter: Exporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def see(self: ToolLoop, step: Step) -> list[object]:
        seen.append(step.span_id)
        return []

    monkeypatch.setattr(ToolLoop, "see", see)
    exporter.send(child(2, ASKS))
    detect_trace(exporter.trace())
    seen.clear()
    exporter.send(child(4, TOOL))
    detect_trace(exporter.trace())
    assert seen == [f"{2:016x}", f"{4:016x}"]


def test_short_ids_name_a_call_in_their_own_trace_only(exporter: Exporter) -> None:
    asks = ASKS | {"gen_ai.output.messages": ASKS["gen_ai.output.messages"].replace(CALL_ID, "call_0")}
    exporter.send(span(1, asks, traceId="a" * 32), span(1, asks, traceId="b" * 32))
    exporter.send(span(2, TOOL | {"gen_ai.tool.call.id": "call_0"}, traceId="a" * 32))
    calls = Span.objects.of(exporter.project).filter(tool_name="pay")
    assert sorted(one.span_id[:5] for one in calls) == ["00000", "call-"]
    assert len({one.trace_ref_id for one in calls}) == 2


def test_what_names_no_one_call_is_looked_for_in_its_own_trace(exporter: Exporter) -> None:
    """Else each batch would read all that a project has stored in three days, where its ids are counters."""
    asks = ASKS | {"gen_ai.output.messages": ASKS["gen_ai.output.messages"].replace(CALL_ID, "call_0")}
    for trace in "abc":
        exporter.send(span(1, asks, traceId=trace * 32))
    days = {one.trace_day for one in Span.objects.of(exporter.project)}
    own = UUID("b" * 32)
    tool = SpanRecord(own, "1", datetime.now(UTC), event_type="tool_call", tool_name="pay", call_id="call_0")
    told = msgspec.structs.replace(tool, call_id="said:call_1", is_told=True)
    wanted = wanted_by([tool, told, msgspec.structs.replace(tool, call_id=CALL_ID)])
    assert {key for _, key in wanted.of_traces} == {
        *("said:call_0", "echo:call_0", "said:call_1", "call_1", "echo:call_1", "tool:pay")
    }
    assert wanted.calls == {f"said:{CALL_ID}", f"echo:{CALL_ID}"}
    assert [(one.trace, one.call_id) for one in find(exporter.project.pk, wanted, days)] == [(own, "said:call_0")]


def test_told_calls_are_no_items_of_the_request(exporter: Exporter) -> None:
    from traces.models import IngestBatch

    exporter.send(child(2, ASKS))
    exporter.send(child(2, ASKS))
    assert [(one.received, one.accepted, one.duplicates) for one in IngestBatch.objects.order_by("id")] == [
        (1, 1, 0),
        (1, 0, 1),
    ]
