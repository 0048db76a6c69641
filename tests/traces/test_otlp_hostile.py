"""Hostile OTLP: broken texts, huge and deep values, damaged requests; no neighbour is harmed and no answer is a 500."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.builders import make_project
from tests.traces.otlp import (
    AGENT,
    CHAT,
    JSON,
    METRICS,
    PROTOBUF,
    TOOL,
    TRACE,
    Exporter,
    a_run,
    log,
    logs,
    pairs,
    protobuf,
    request,
    span,
    value,
)
from traces.models import IngestBatch

pytestmark = pytest.mark.django_db
CLAUDE = "com.anthropic.claude_code.events"


@pytest.fixture
def exporter() -> Exporter:
    return Exporter(make_project())


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
def test_of_two_attributes_of_one_name_the_last_is_kept_and_the_span_says_so(
    exporter: Exporter, *, is_json: bool
) -> None:
    sent = request(span(1, {"risk": "HIGH", "other": 1}), span(2))
    sent["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"] += pairs({"risk": "LOW"})
    exporter.post(json.dumps(sent).encode() if is_json else protobuf(sent), JSON if is_json else PROTOBUF)
    flagged, neighbour = exporter.spans()
    assert (flagged.attributes["risk"], flagged.repaired, neighbour.repaired) == ("LOW", True, False)


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


EVENTS = {"event.name": "api_request", "prompt.id": "p", "input_tokens": 3}
SENT = {"/v1/traces": request(*a_run()), "/v1/logs": logs(log(1, EVENTS), log(2), scope=CLAUDE), "/v1/metrics": METRICS}
BODIES = [(path, body) for path, sent in SENT.items() for body in (protobuf(sent), json.dumps(sent).encode())]


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    which=st.integers(0, len(BODIES) - 1),
    as_json=st.booleans(),
    cuts=st.lists(st.tuples(st.integers(0, 4_000), st.integers(0, 6), st.binary(max_size=6)), max_size=4),
)
def test_no_damage_to_a_request_is_an_error_of_the_server(
    exporter: Exporter, which: int, as_json: bool, cuts: list[tuple[int, int, bytes]]
) -> None:
    path, body = BODIES[which]
    for place, size, other in cuts:
        at = place % (len(body) + 1)
        body = body[:at] + other + body[at + size :]
    answer = exporter.post(body, JSON if as_json else PROTOBUF, path)
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
    known = {key: one for key, one in attributes.items() if one is not None}
    body = json.dumps(request(span(1, known), span(2, texts)))
    assert exporter.post(body.encode(), JSON).status_code in {200, 400}


CLAUDE_KEYS = ["tool_name", "tool_use_id", "tool_input", "tool_parameters", "prompt", "response", "decision", "model",
               "duration_ms", "input_tokens", "cost_usd", "cost_usd_micros", "success", "error", "request_id",
               "prompt.id", "session.id", "exception.type"]  # fmt: skip
NAMES = ["user_prompt", "api_request", "api_error", "assistant_response", "tool_result", "tool_decision",
         "internal_error", "gen_ai.choice", "gen_ai.tool.message", "gen_ai.user.message",
         "gen_ai.client.inference.operation.details"]  # fmt: skip


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    scope=st.sampled_from([CLAUDE, "other"]),
    name=st.sampled_from(NAMES),
    said=st.dictionaries(st.sampled_from([*CLAUDE_KEYS, *CHAT]), VALUES, max_size=6),
    body=VALUES,
)
def test_no_value_in_a_record_is_an_error_of_the_server(
    exporter: Exporter, scope: str, name: str, said: dict[str, Any], body: Any
) -> None:
    texts = {key: one if isinstance(one, str) else json.dumps(one) for key, one in said.items()}
    records = [
        log(1, {key: one for key, one in sent.items() if one is not None}, eventName=name, body=value(body or ""))
        for sent in (said, texts)
    ]
    assert exporter.post(json.dumps(logs(*records, scope=scope)).encode(), JSON, "/v1/logs").status_code in {200, 400}
    batch = IngestBatch.objects.order_by("id").last()
    assert batch is None or batch.received == batch.accepted + batch.duplicates + batch.rejected_count


def test_what_is_broken_in_a_record_is_repaired_and_its_neighbours_are_not_touched(exporter: Exporter) -> None:
    body = json.dumps(logs(log(1, {"a": "HALF", "n\0": "x"}, body=value({"k\0": "\0"})), log(2), log(3, traceId="zz")))
    exporter.post(body.encode().replace(b"HALF", b"\\ud83d"), JSON, "/v1/logs")
    broken, whole = exporter.spans()
    assert (broken.attributes["a"], broken.attributes["n\ufffd"]) == ("\ufffd", "x")
    assert (broken.attributes["otel.body"], broken.repaired) == ({"k\ufffd": "\ufffd"}, True)
    assert (whole.repaired, IngestBatch.objects.get().ignored) == (False, 1)
    exporter.post(protobuf(logs(log(4, {"a": "BAD!"}))).replace(b"BAD!", b"\xff\xfe!!"), PROTOBUF, "/v1/logs")
    assert (exporter.spans()[-1].attributes["a"], exporter.spans()[-1].repaired) == ("\ufffd\ufffd!!", True)


@pytest.mark.parametrize("value", [{"intValue": "abc"}, {"intValue": "9" * 20}, {"doubleValue": "abc"}])
def test_a_resource_that_cannot_be_read_costs_its_own_spans_alone(exporter: Exporter, value: dict[str, str]) -> None:
    bad, good = request(span(1), span(2)), request(span(3))
    bad["resourceSpans"][0]["resource"] = {"attributes": [{"key": "a", "value": value}]}
    sent = {"resourceSpans": [*bad["resourceSpans"], *good["resourceSpans"]]}
    answer = exporter.post(json.dumps(sent).encode(), JSON)
    assert (answer.status_code, answer.json()["partialSuccess"]["rejectedSpans"]) == (200, "2")
    assert "/resource/attributes" in answer.json()["partialSuccess"]["errorMessage"]
    assert [one.span_id for one in exporter.spans()] == [f"{3:016x}"]


@pytest.mark.parametrize("path", ["/v1/logs", "/v1/metrics"])
@pytest.mark.parametrize("depth", [33, 95, 10_000])
def test_a_record_or_a_metric_that_is_nested_too_deeply_harms_nobody(exporter: Exporter, path: str, depth: int) -> None:
    nested = b'{"arrayValue":{"values":[' * depth + b"{}" + b"]}}" * depth
    sent = logs(log(1, body={"HERE": 1})) if path == "/v1/logs" else {"resourceMetrics": [{"HERE": {"HERE": 1}}]}
    body = json.dumps(sent).encode().replace(b'{"HERE": 1}', nested)
    assert exporter.post(body, JSON, path).status_code in {200, 400}


def test_a_request_of_too_many_records_is_refused_whole(exporter: Exporter) -> None:
    sent = logs()
    sent["resourceLogs"][0]["scopeLogs"][0]["logRecords"] = [{}] * 20_001
    assert exporter.post(json.dumps(sent).encode(), JSON, "/v1/logs").status_code == 413
    assert not IngestBatch.objects.exists()
