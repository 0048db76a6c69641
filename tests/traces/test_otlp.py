"""What becomes of spans that came as OTLP: the same rows from each encoding, repairs, limits, times, the end."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from tests.builders import make_project
from tests.traces.otlp import (
    AGENT,
    CHAT,
    JSON,
    NOW_S,
    TOOL,
    TRACE,
    Exporter,
    a_run,
    child,
    pairs,
    protobuf,
    request,
    span,
)
from traces.closing import close_quiet_traces
from traces.models import IngestBatch, Span, Trace

pytestmark = pytest.mark.django_db


@pytest.fixture
def exporter() -> Exporter:
    return Exporter(make_project())


def rows(exporter: Exporter) -> list[dict[str, Any]]:
    """Return everything that is stored of the spans but what differs with each request."""
    moving = {"project_id", "trace_ref_id", "received_at", "arrival", "trace_day", "toolset_id"}
    found = Span.objects.of(exporter.project).order_by("span_id").values()
    return [{name: value for name, value in row.items() if name not in moving} for row in found]


def test_both_encodings_of_a_run_give_the_same_rows() -> None:
    one, other = Exporter(make_project()), Exporter(make_project())
    one.send(*a_run())
    assert other.post(protobuf(request(*a_run()))).status_code == 200
    assert rows(one) == rows(other)
    assert len(rows(one)) == 4


def test_a_run_is_read_as_steps_with_its_agent_session_and_sums(exporter: Exporter) -> None:
    exporter.send(*a_run(), service_version="2.1", deployment_environment_name="prod")
    model, tool, last = exporter.steps()
    assert (model.event_type, model.model, model.text, model.thinking) == ("model_response", "m-1", "Rain.", "Hm.")
    assert (tool.event_type, tool.tool_name, tool.input) == ("tool_call", "get_weather", '{"city":"Oslo"}')
    assert json.loads(tool.output or "") == {"c": 7, "rain": True, "by": ["yr", 1.5]}
    assert (tool.parent_span_id, tool.is_error, last.span_id) == (f"{1:016x}", False, f"{4:016x}")
    trace = exporter.trace()
    assert (trace.name, trace.agent, trace.preview) == ("invoke_agent forecaster", "forecaster", "Weather?")
    assert (trace.environment, trace.release, trace.source) == ("prod", "2.1", "otlp")
    assert trace.session is not None
    assert trace.session.session_id == "c-1"
    assert (trace.spans, trace.steps, trace.input_tokens, trace.output_tokens) == (4, 3, 60, 8)
    assert model.attributes["gen_ai.request.model"] == "m-1"
    assert model.attributes["agentops.dialect"] == "semconv"


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2)], ids=str)
def test_spans_that_come_one_by_one_and_again_in_any_order_give_the_same_trace(order: tuple[int, ...]) -> None:
    whole, split = Exporter(make_project()), Exporter(make_project())
    whole.send(*a_run())
    for place in (*order, *order):
        split.send(a_run()[place])
    assert rows(whole) == rows(split)
    named = ("name", "agent", "steps", "spans", "input_tokens", "started_at", "ended_at", "root_ended_at")
    assert [getattr(whole.trace(), name) for name in named] == [getattr(split.trace(), name) for name in named]


def test_a_service_gives_its_name_to_an_agent_that_nobody_named(exporter: Exporter) -> None:
    exporter.send(span())
    assert exporter.trace().agent == "weather"
    exporter.send(span(2, AGENT))
    assert exporter.trace().agent == "forecaster"
    exporter.send(span(3))
    assert exporter.trace().agent == "forecaster"


def test_a_failed_span_says_how_it_failed(exporter: Exporter) -> None:
    failed = {"code": 2, "message": "status"}
    event = {"name": "exception", "attributes": pairs({"exception.type": "TimeoutError", "exception.message": "slow"})}
    exporter.send(
        span(1, TOOL, status=failed, events=[event]), span(2, TOOL, status=failed), span(3, CHAT, status={"code": 1})
    )
    by_exception, by_status, well = exporter.spans()
    assert (by_exception.is_error, by_exception.error) == (True, "TimeoutError: slow")
    assert (by_status.is_error, by_status.error) == (True, "status")
    assert (well.is_error, well.error) == (False, None)
    assert exporter.trace().errors == 2


def test_a_trace_closes_half_a_minute_after_its_root_ended(exporter: Exporter) -> None:
    exporter.send(*a_run()[:3])
    waits = exporter.trace().closes_at - exporter.trace().last_received_at
    assert timedelta(minutes=10) < waits <= timedelta(minutes=10, seconds=10)
    exporter.send(a_run()[3])
    exporter.send(child(7, CHAT))
    trace = exporter.trace()
    assert trace.closes_at - trace.last_received_at == timedelta(seconds=30)
    Trace.objects.update(closes_at=Now() - timedelta(minutes=1))
    assert close_quiet_traces() == 1
    assert exporter.trace().status == "ok"
    exporter.send(child(8, CHAT))
    assert exporter.trace().status == "running"


def test_a_root_that_failed_makes_its_trace_failed(exporter: Exporter) -> None:
    exporter.send(child(2, CHAT), span(1, AGENT, status={"code": 2, "message": "gave up"}))
    Trace.objects.update(closes_at=Now() - timedelta(minutes=1))
    close_quiet_traces()
    assert exporter.trace().status == "error"


def test_a_span_without_an_end_is_unfinished_until_it_is_sent_again(exporter: Exporter) -> None:
    exporter.send(span(1, TOOL, endTimeUnixNano="0"))
    (stored,) = exporter.spans()
    assert (stored.ended_at, stored.is_error, exporter.trace().root_ended_at) == (None, None, None)
    exporter.send(span(1, TOOL))
    (stored,) = exporter.spans()
    assert (stored.ended_at, stored.is_error, stored.revised) == (exporter.trace().ended_at, False, False)


def test_what_a_span_that_is_sent_again_adds_is_there_with_what_it_said_before(exporter: Exporter) -> None:
    exporter.send(span(1, {"a": 1}, endTimeUnixNano="0"))
    exporter.send(span(1, TOOL | {"b": 2}))
    exporter.send(span(1, {"a": 1, "b": 2}))
    (stored,) = exporter.spans()
    assert (stored.event_type, stored.attributes["a"], stored.attributes["b"]) == ("tool_call", 1, 2)
    assert stored.revised is False
    assert list(IngestBatch.objects.order_by("id").values_list("accepted", "duplicates")) == [(1, 0), (1, 0), (0, 1)]


@pytest.mark.parametrize(
    ("fields", "original"),
    [
        ({"startTimeUnixNano": None, "endTimeUnixNano": 0}, "0"),
        ({"startTimeUnixNano": str(2**64 - 1), "endTimeUnixNano": str(2**64 - 1)}, "2554-07-21"),
        ({"startTimeUnixNano": "1", "endTimeUnixNano": "2"}, "1970-01-01"),
        ({"endTimeUnixNano": str((NOW_S - 5) * 10**9)}, "2026-11-"),
    ],
    ids=["absent", "far ahead", "long ago", "ends before it starts"],
)
def test_an_absurd_time_is_clamped_and_kept_beside(exporter: Exporter, fields: dict[str, Any], original: str) -> None:
    exporter.send(span(1, **fields), span(2))
    stored, neighbour = sorted(exporter.spans(), key=lambda one: one.span_id)
    assert (stored.repaired, neighbour.repaired) == (True, False)
    assert (stored.original_timestamp or "").startswith(original)
    assert stored.started_at.year == 2026
    assert stored.ended_at is None or stored.ended_at >= stored.started_at


def test_a_start_that_is_absent_is_the_end(exporter: Exporter) -> None:
    exporter.send(span(1, startTimeUnixNano="0"))
    (stored,) = exporter.spans()
    assert (stored.started_at, stored.repaired) == (stored.ended_at, False)


@pytest.mark.parametrize(
    "fields",
    [
        {"startTimeUnixNano": "yesterday"},
        {"startTimeUnixNano": "9" * 5_000},
        {"endTimeUnixNano": -1},
        {"endTimeUnixNano": "1e999"},
        {"name": 7},
        {"attributes": {"a": 1}},
        {"attributes": [{"key": "a", "value": {"intValue": str(2**64)}}]},
        {"attributes": [{"key": "a", "value": {"intValue": "9" * 5_000}}]},
        {"attributes": [{"key": "a", "value": {"doubleValue": "wide"}}]},
        {"spanId": "xyz"},
        {"traceId": 3},
    ],
    ids=lambda fields: str(fields)[:60],
)
def test_json_that_is_no_span_is_rejected_alone(exporter: Exporter, fields: dict[str, Any]) -> None:
    answer = exporter.send(span(1), span(2, **fields), span(3))
    assert answer["partialSuccess"]["rejectedSpans"] == "1"
    assert len(exporter.spans()) == 2


def test_json_is_read_as_clients_write_it(exporter: Exporter) -> None:
    body = b"""{"resource_spans": [{"future": [1], "scope_spans": [{"spans": [{
        "trace_id": "CvdlGRbNQ92ESOshHIAxnA==", "span_id": "AAAAAAAAAAk=", "parent_span_id": "AAAAAAAAAAE=",
        "name": "snake", "kind": "SPAN_KIND_CLIENT", "start_time_unix_nano": 1795000001000000000, "future": {"a": 1},
        "end_time_unix_nano": "1795000002000000000", "status": {"code": "STATUS_CODE_ERROR"},
        "attributes": [{"key": "nan", "value": {"double_value": "NaN"}}, {"key": "n", "value": {"int_value": 7}},
            {"key": "trace_id", "value": {"string_value": "\\"trace_id\\": 1"}}, {"key": "none", "value": {}},
            {"key": "inf", "value": {"double_value": "-Infinity"}}, {"key": "b", "value": {"bytes_value": "/w=="}}]
    }]}]}]}"""
    assert exporter.post(body, JSON).json() == {}
    (stored,) = exporter.spans()
    assert exporter.trace().trace_id.hex == TRACE
    assert (stored.span_id, stored.parent_span_id, stored.is_error) == (f"{9:016x}", f"{1:016x}", True)
    wanted = {
        "nan": "nan",
        "n": 7,
        "trace_id": '"trace_id": 1',
        "none": None,
        "inf": "-inf",
        "b": "/w==",
        "otel.kind": 3,
    }
    assert {key: stored.attributes[key] for key in wanted} == wanted
    exporter.post(json.dumps(request(span(9, traceId=TRACE.upper(), parentSpanId="0" * 16))).encode(), JSON)
    assert Trace.objects.count() == 1
