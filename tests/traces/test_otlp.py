"""What becomes of spans that came as OTLP: the same rows from each encoding, repairs, limits, times, the end."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.builders import make_project
from tests.traces.otlp import JSON, NOW_S, PROTOBUF, TRACE, Exporter, pairs, protobuf, request, span
from traces.closing import close_quiet_traces
from traces.models import Span, Trace

pytestmark = pytest.mark.django_db

CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "m-1",
    "gen_ai.response.id": "resp-1",
    "gen_ai.usage.input_tokens": 30,
    "gen_ai.usage.output_tokens": 4,
    "gen_ai.input.messages": '[{"role":"user","parts":[{"type":"text","content":"Weather?"}]}]',
    "gen_ai.output.messages": '[{"role":"assistant","parts":[{"type":"reasoning","content":"Hm."},'
    '{"type":"text","content":"Rain."}]}]',
}
TOOL = {
    "gen_ai.operation.name": "execute_tool",
    "gen_ai.tool.name": "get_weather",
    "gen_ai.tool.call.id": "call-1",
    "gen_ai.tool.call.arguments": '{"city": "Oslo"}',
    "gen_ai.tool.call.result": {"c": 7, "rain": True, "by": ["yr", 1.5]},
}
AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "forecaster", "gen_ai.conversation.id": "c-1"}


def child(number: int, attributes: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return span(number, attributes, parentSpanId=f"{1:016x}", **fields)


def a_run() -> list[dict[str, Any]]:
    root = span(1, AGENT, endTimeUnixNano=str((NOW_S + 9) * 10**9), name="invoke_agent forecaster")
    return [child(2, CHAT), child(3, TOOL), child(4, CHAT | {"gen_ai.response.id": "resp-2"}), root]


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
    assert waits == timedelta(minutes=10)
    exporter.send(a_run()[3])
    exporter.send(child(7, CHAT))
    trace = exporter.trace()
    assert trace.closes_at - trace.last_received_at == timedelta(seconds=30)
    Trace.objects.update(closes_at=Now() - timedelta(seconds=1))
    assert close_quiet_traces() == 1
    assert exporter.trace().status == "ok"
    exporter.send(child(8, CHAT))
    assert exporter.trace().status == "running"


def test_a_root_that_failed_makes_its_trace_failed(exporter: Exporter) -> None:
    exporter.send(child(2, CHAT), span(1, AGENT, status={"code": 2, "message": "gave up"}))
    Trace.objects.update(closes_at=Now() - timedelta(seconds=1))
    close_quiet_traces()
    assert exporter.trace().status == "error"


def test_a_span_without_an_end_is_unfinished_until_it_is_sent_again(exporter: Exporter) -> None:
    exporter.send(span(1, TOOL, endTimeUnixNano="0"))
    (stored,) = exporter.spans()
    assert (stored.ended_at, stored.is_error, exporter.trace().root_ended_at) == (None, None, None)
    exporter.send(span(1, TOOL))
    (stored,) = exporter.spans()
    assert (stored.ended_at, stored.is_error, stored.revised) == (exporter.trace().ended_at, False, False)


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


def test_broken_texts_are_repaired_in_each_encoding_and_their_neighbours_are_not_touched(exporter: Exporter) -> None:
    hostile = {"nul": "a\0b", "k\0": "x", "deep": {"in\0ner": ["\0"]}, "": "no key"}
    body = protobuf(request(span(1, hostile | {"bad": "BAD!"}), span(2, {"fine": "\\u0000 stays"})))
    body = body.replace(b"BAD!", b"\xff\xfe!!")
    assert exporter.post(body).status_code == 200
    first, second = exporter.spans()
    assert (first.attributes["nul"], first.attributes["k\ufffd"]) == ("a\ufffdb", "x")
    assert first.attributes["deep"] == {"in\ufffdner": ["\ufffd"]}
    assert first.attributes["bad"] == "\ufffd\ufffd!!"
    assert (first.repaired, second.attributes["fine"]) == (True, "\\u0000 stays")
    text = json.dumps(request(span(3, {"a": "HALF"}), span(4, {"a": "BAD!"}), span(5)))
    sent = text.encode().replace(b"HALF", b"\\ud83d").replace(b"BAD!", b"\xff\xfe!!")
    assert exporter.post(sent, JSON).json() == {}
    half, bad, whole = exporter.spans()[2:]
    assert (half.attributes["a"], half.repaired, whole.repaired) == ("\ufffd", True, False)
    assert (bad.attributes["a"], bad.repaired) == ("\ufffd!!", True)


def test_keys_are_stored_flat_and_cut(exporter: Exporter) -> None:
    keys = ["__proto__", "constructor.prototype.x", "a.b.c", "a", "😀", "\u202e", "line\nbreak", "k" * 10_000]
    exporter.send(span(1, dict.fromkeys(keys, "v")), span(2))
    stored, neighbour = exporter.spans()
    assert {key for key in stored.attributes if not key.startswith(("otel.", "agentops."))} >= set(keys[:-1])
    (long,) = [key for key in stored.attributes if key.startswith("kkk")]
    assert (len(long) < 300, stored.repaired, neighbour.repaired) == (True, True, False)


@pytest.mark.parametrize("is_json", [True, False], ids=["json", "protobuf"])
def test_what_is_beyond_the_limits_of_a_span_is_counted_and_not_kept(exporter: Exporter, *, is_json: bool) -> None:
    many = {f"key {i}": i for i in range(300)}
    events = [{"name": "e", "timeUnixNano": "1", "attributes": pairs(many)}] * 200
    links = [{"traceId": TRACE, "spanId": f"{9:016x}"}] * 200
    sent = request(span(1, many, events=events, links=links, droppedAttributesCount=5), span(2))
    if not is_json:
        for one in sent["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["links"]:
            one.clear()
    body = json.dumps(sent).encode() if is_json else protobuf(sent)
    assert exporter.post(body, JSON if is_json else PROTOBUF).status_code == 200
    stored, neighbour = exporter.spans()
    kept = stored.attributes
    assert sum(key.startswith("key ") for key in kept) == 128
    assert kept["otel.dropped_attributes_count"] == 300 - 128 + 5 + 128 * (300 - 128)
    assert (kept["otel.dropped_events_count"], kept["otel.dropped_links_count"]) == (72, 72)
    assert "otel.dropped_events_count" not in neighbour.attributes


def test_huge_texts_are_cut_and_indexed_values_are_short(exporter: Exporter) -> None:
    name = "n" * 12_000
    about = AGENT | {"gen_ai.agent.name": name, "gen_ai.conversation.id": name, "huge": "h" * 3_000_000}
    tool = TOOL | {"gen_ai.tool.name": name, "gen_ai.tool.call.result": "r" * 1_500_000}
    exporter.send(span(1, about, name=name), span(2, tool), span(3))
    agent, call, _ = exporter.spans()
    assert (agent.repaired, call.repaired) == (True, True)
    assert len(json.dumps(agent.attributes)) < 300_000
    assert (call.output or "").endswith('… [cut: 1,000,031 characters]"')
    for text in (agent.name, agent.agent, call.tool_name, exporter.trace().agent, exporter.trace().name):
        assert len(text or "") < 300


@pytest.mark.parametrize("depth", [33, 90, 95, 10_000])
def test_values_nested_too_deeply_harm_nobody(exporter: Exporter, depth: int) -> None:
    nested = b'{"arrayValue":{"values":[' * depth + b"{}" + b"]}}" * depth
    body = json.dumps(request(span(1, {"deep": "HERE"}), span(2))).encode()
    answer = exporter.post(body.replace(b'{"stringValue": "HERE"}', nested), JSON)
    assert answer.status_code in {200, 400}
    if answer.status_code == 200:
        assert any(one.span_id[-1] == "2" for one in exporter.spans())


def length(data: bytes) -> bytes:
    size, parts = len(data), b""
    while size > 0x7F:
        parts, size = parts + bytes([size & 0x7F | 0x80]), size >> 7
    return parts + bytes([size]) + data


@pytest.mark.parametrize(("depth", "status"), [(20, 200), (10_000, 400)])
def test_protobuf_nested_too_deeply_is_refused(exporter: Exporter, depth: int, status: int) -> None:
    value = b""
    for _ in range(depth):
        value = b"\x2a" + length(b"\x0a" + length(value))  # array_value { values { … } }
    pair = b"\x0a\x01a\x12" + length(value)
    ids = b"\x0a\x10" + b"1" * 16 + b"\x12\x08" + b"2" * 8
    one = ids + b"\x4a" + length(pair)
    assert exporter.post(b"\x0a" + length(b"\x12" + length(b"\x12" + length(one)))).status_code == status


BODIES = [protobuf(request(*a_run())), json.dumps(request(*a_run())).encode()]


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    which=st.sampled_from([0, 1]),
    as_json=st.booleans(),
    cuts=st.lists(st.tuples(st.integers(0, 4_000), st.integers(0, 6), st.binary(max_size=6)), max_size=4),
)
def test_no_damage_to_a_request_is_an_error_of_the_server(
    exporter: Exporter, which: int, as_json: bool, cuts: list[tuple[int, int, bytes]]
) -> None:
    body = BODIES[which]
    for place, size, other in cuts:
        at = place % (len(body) + 1)
        body = body[:at] + other + body[at + size :]
    answer = exporter.post(body, JSON if as_json else PROTOBUF)
    assert answer.status_code in {200, 400}


VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("\0\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from([*CHAT, *TOOL, *AGENT, "gen_ai.tool.definitions", "session.id", "mcp.method.name"])


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(attributes=st.dictionaries(KEYS, VALUES, max_size=8))
def test_no_value_of_a_known_attribute_is_an_error_of_the_server(
    exporter: Exporter, attributes: dict[str, Any]
) -> None:
    texts = {key: one if isinstance(one, str) else json.dumps(one) for key, one in attributes.items()}
    for sent in (attributes, texts):
        body = json.dumps(request(span(1, {key: one for key, one in sent.items() if one is not None})))
        assert exporter.post(body.encode(), JSON).status_code in {200, 400}
