"""The OTLP door: who may come in, which encodings are read, and what is answered."""

import gzip
import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tests.builders import make_project
from tests.traces.otlp import JSON, METRICS, PROTOBUF, TRACE, Exporter, log, logs, protobuf, request, span
from traces.api import otlp as door
from traces.models import IngestBatch, Span, Trace

pytestmark = pytest.mark.django_db
GZIP = {"Content-Encoding": "gzip"}
PATHS = ["/v1/traces", "/v1/logs", "/v1/metrics", "/api/public/otel/v1/traces"]


@pytest.fixture
def exporter() -> Exporter:
    return Exporter(make_project(), "ingest")


def status_of(answer: Any) -> tuple[int, str]:
    """Return code and message of a google.rpc.Status, whatever its encoding."""
    if answer["Content-Type"] == JSON:
        said = answer.json()
        return said["code"], said["message"]
    assert answer["Content-Type"] == PROTOBUF
    body = answer.content
    assert (body[0], body[2]) == (0x08, 0x12)
    size, start = body[3], 4
    if size & 0x80:
        size, start = (size & 0x7F) | body[4] << 7, 5
    assert len(body) == start + size
    return body[1], body[start:].decode()


@pytest.mark.parametrize("path", ["/v1/traces", "/api/public/otel/v1/traces"])
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (PROTOBUF, protobuf(request(span()))),
        (f"{JSON}; charset=utf-8", json.dumps(request(span())).encode()),
        ("Application/X-Protobuf ; v=1", protobuf(request(span()))),
    ],
    ids=["protobuf", "json", "parameters"],
)
def test_a_span_is_stored_and_the_answer_is_in_the_encoding_of_the_request(
    exporter: Exporter, path: str, kind: str, body: bytes
) -> None:
    for encoding, sent in (("", body), ("gzip", gzip.compress(body))):
        answer = exporter.post(sent, kind, path, **({"Content-Encoding": encoding} if encoding else {}))
        assert (answer.status_code, answer.content) == (200, b"" if "rotobuf" in kind else b"{}")
        assert answer["Content-Type"] == (PROTOBUF if "rotobuf" in kind else JSON)
    (stored,) = exporter.spans()
    assert (stored.span_id, stored.name, stored.event_type) == ("0000000000000001", "span 1", None)
    assert exporter.trace().trace_id.hex == TRACE
    assert [one.accepted for one in IngestBatch.objects.order_by("id")] == [1, 0]


def test_an_empty_request_is_a_success_in_each_encoding(exporter: Exporter) -> None:
    assert exporter.post(b"").status_code == 200
    assert exporter.post(b"{}", JSON).json() == {}
    assert not IngestBatch.objects.exists()


@pytest.mark.parametrize("path", PATHS)
def test_each_door_wants_a_key_and_says_so_as_a_status_in_the_encoding_of_the_request(
    exporter: Exporter, path: str
) -> None:
    for kind in (PROTOBUF, JSON):
        for headers in ({"Authorization": ""}, {"Authorization": "Bearer aop_wrong"}, {"Authorization": "Basic !"}):
            answer = exporter.post(b"", kind, path, **headers)
            assert (answer.status_code, answer["Content-Type"]) == (401, kind)
            assert status_of(answer)[0] == 16
        answer = Exporter(exporter.project, "read").post(b"", kind, path)
        assert answer.status_code == 403
        code, message = status_of(answer)
        assert (code, "ingest" in message) == (7, True)


@pytest.mark.parametrize("shape", ["x:{}", "{}:", "{}:x"])
def test_a_key_is_taken_from_basic_credentials_here_and_nowhere_else(exporter: Exporter, shape: str) -> None:
    basic = {"Authorization": "Basic " + b64encode(shape.format(exporter.token).encode()).decode()}
    assert exporter.post(b"", path="/api/public/otel/v1/traces", **basic).status_code == 200
    assert exporter.post(b"[]", JSON, "/api/v1/traces", **basic).status_code == 401


def bomb() -> bytes:
    return gzip.compress(b"\0" * 64_000_000, 9)


# What is sent, as it is named here: kind, body (or how it is made, where it is large or has a time in it), encoding.
UNREADABLE: dict[str, tuple[str, bytes | Callable[[], bytes], str, int]] = {
    "no message": (PROTOBUF, b"\xff\xff", "", 400),
    "JSON said to be protobuf": (PROTOBUF, b'{"resourceSpans": []}', "", 400),
    "nothing": (JSON, b"", "", 400),
    "half an object": (JSON, b"{", "", 400),
    "a list": (JSON, b"[]", "", 400),
    "null": (JSON, b"null", "", 400),
    "protobuf said to be JSON": (JSON, lambda: protobuf(request(span())), "", 400),
    "UTF-7 of ASCII alone": (JSON, '{"resourceSpans": []}'.encode("utf-7"), "", 200),
    "UTF-16": (JSON, '{"resourceSpans": []}'.encode("utf-16"), "", 400),
    "nested too deep": (JSON, lambda: b'{"resourceSpans": [' + b"[" * 100_000 + b"]}", "", 400),
    "no gzip": (JSON, b"no gzip", "gzip", 400),
    "a cut gzip": (JSON, lambda: gzip.compress(b"{}")[:-3], "gzip", 400),
    "two members": (JSON, lambda: gzip.compress(b"{}") * 2, "gzip", 400),
    "gzip in gzip": (PROTOBUF, lambda: gzip.compress(gzip.compress(b"")), "gzip", 400),
    "brotli": (PROTOBUF, b"", "br", 415),
    "deflate": (PROTOBUF, b"", "deflate", 415),
    "plain text": ("text/plain", b"{}", "", 415),
    "gRPC": ("application/grpc", b"", "", 415),
    "no kind": ("", b"", "", 415),
    "a bomb": (PROTOBUF, bomb, "gzip", 413),
    "more than the limit": (JSON, lambda: b" " * 33_554_433, "", 413),
    "a million empty groups": (JSON, lambda: b'{"resourceSpans": [' + b"{}," * 1_000_000 + b"{}]}", "", 413),
    "millions of empty messages": (PROTOBUF, lambda: b"\x0a\x00" * 2_200_000, "", 413),
    "a gzip that is longer than it says": (
        JSON,
        lambda: gzip.compress(b" " * 9_000_000)[:-4] + b"\1\0\0\0",
        "gzip",
        400,
    ),
}


LARGE = {"a bomb", "more than the limit"}  # the same for each door, and slow


@pytest.mark.parametrize(
    ("path", "name"),
    [(path, name) for path in PATHS[:3] for name in UNREADABLE if path == PATHS[0] or name not in LARGE],
)
def test_what_cannot_be_read_is_refused_with_a_status(exporter: Exporter, path: str, name: str) -> None:
    kind, body, encoding, status = UNREADABLE[name]
    body = body() if callable(body) else body
    answer = exporter.post(body, kind, path, **({"Content-Encoding": encoding} if encoding else {}))
    assert answer.status_code == status
    if status != 200:
        code, message = status_of(answer)
        assert (code, len(message) > 10) == (8 if status == 413 else 3, True)
        assert answer["Content-Type"] == (PROTOBUF if kind == PROTOBUF else JSON)
    assert not Span.objects.exists()


def test_a_request_of_too_many_spans_is_refused_whole(exporter: Exporter) -> None:
    sent = request()
    sent["resourceSpans"][0]["scopeSpans"][0]["spans"] = [{}] * 20_001
    assert exporter.post(json.dumps(sent).encode(), JSON).status_code == 413
    assert not IngestBatch.objects.exists()


def test_a_bad_span_is_rejected_alone_and_the_answer_says_which_and_why(exporter: Exporter) -> None:
    bad = [span(2, spanId="0" * 16), span(3, traceId=TRACE[:30]), span(4, spanId="")]
    answer = exporter.post(protobuf(request(span(1), *bad, span(5))))
    assert answer.status_code == 200
    said = ExportTraceServiceResponse.FromString(answer.content).partial_success
    assert said.rejected_spans == 3
    assert "span 1: /spanId must be 8 bytes" in said.error_message
    assert "span 2: /traceId must be 16 bytes" in said.error_message
    assert [one.span_id[-1] for one in exporter.spans()] == ["1", "5"]
    again = exporter.send(span(6), *bad)
    assert again["partialSuccess"]["rejectedSpans"] == "3"
    batch = IngestBatch.objects.earliest("id")
    assert (batch.source, batch.received, batch.accepted, batch.rejected_count) == ("otlp", 5, 2, 3)


def test_an_absent_database_asks_to_come_back(exporter: Exporter, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(door, "store", away)
    for kind, body in ((PROTOBUF, protobuf(request(span()))), (JSON, json.dumps(request(span())).encode())):
        answer = exporter.post(body, kind)
        assert (answer.status_code, answer["Retry-After"]) == (503, "2")
        assert status_of(answer)[0] == 14


@pytest.mark.parametrize(("kind", "body"), [(PROTOBUF, protobuf(METRICS)), (JSON, json.dumps(METRICS).encode())])
def test_data_points_are_counted_as_ignored_and_that_is_said_once(exporter: Exporter, kind: str, body: bytes) -> None:
    first, second = (exporter.post(gzip.compress(body), kind, "/v1/metrics", **GZIP) for _ in range(2))
    assert (first.status_code, second.status_code) == (200, 200)
    assert b"counted and not kept" in first.content
    assert second.content == (b"" if kind == PROTOBUF else b"{}")
    if kind == PROTOBUF:
        assert ExportMetricsServiceResponse.FromString(first.content).partial_success.rejected_data_points == 0
    entries = list(IngestBatch.objects.values_list("source", "received", "accepted", "ignored", "rejected_count"))
    assert entries == [("otlp_metrics", 6, 6, 6, 0)] * 2
    assert not Trace.objects.exists()


@pytest.mark.parametrize("path", ["/v1/logs", "/v1/metrics"])
def test_an_empty_request_of_another_signal_is_a_success_too(exporter: Exporter, path: str) -> None:
    assert exporter.post(b"", PROTOBUF, path).content == b""
    assert exporter.post(b"{}", JSON, path).json() == {}
    assert not IngestBatch.objects.exists()


SIGNALS = {"/v1/traces": request(span()), "/v1/logs": logs(log()), "/v1/metrics": METRICS}


@pytest.mark.parametrize(("sent", "path"), [(sent, path) for sent in SIGNALS for path in SIGNALS if sent != path])
def test_a_request_at_the_door_of_another_signal_keeps_nothing_and_is_told_where_to_go(
    exporter: Exporter, sent: str, path: str
) -> None:
    answer = exporter.post(json.dumps(SIGNALS[sent]).encode(), JSON, path)
    assert (answer.status_code, sent in status_of(answer)[1]) == (400, True)
    answer = exporter.post(protobuf(SIGNALS[sent]), PROTOBUF, path)
    assert (answer.status_code, sent in status_of(answer)[1]) == (400, True)
    assert not IngestBatch.objects.exists()


def test_other_methods_are_refused(exporter: Exporter) -> None:
    assert exporter.client.get("/v1/traces", headers={"Authorization": f"Bearer {exporter.token}"}).status_code == 405
