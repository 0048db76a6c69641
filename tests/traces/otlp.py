"""OTLP requests as an exporter sends them, in both encodings; a test states only what it is about."""

import json
from base64 import b64encode
from typing import Any
from uuid import UUID

from django.test import Client
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from agentops.accounts.models import Project
from tests.builders import bearer, make_key
from traces.ingest.dialects.base import Reading, dialect_of
from traces.ingest.otlp_span import Scope, WireSpan
from traces.models import Span, Trace

PROTOBUF, JSON = "application/x-protobuf", "application/json"
NOW_S = 1_795_000_000  # some day in 2026
TRACE = "0af7651916cd43dd8448eb211c80319c"
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


def value(one: Any) -> dict[str, Any]:
    """Return an AnyValue in the JSON of OTLP."""
    if isinstance(one, bool):
        return {"boolValue": one}
    if isinstance(one, int):
        return {"intValue": str(one)}
    if isinstance(one, float):
        return {"doubleValue": one}
    if isinstance(one, list):
        return {"arrayValue": {"values": [value(item) for item in one]}}
    if isinstance(one, dict):
        return {"kvlistValue": {"values": pairs(one)}}
    return {"stringValue": one}


def pairs(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": value(one)} for key, one in attributes.items()]


def span(number: int = 1, said: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """Return a span that starts in second `number` and takes half a second."""
    start = (NOW_S + number) * 10**9
    return {
        "traceId": TRACE,
        "spanId": f"{number:016x}",
        "name": f"span {number}",
        "kind": 1,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + 5 * 10**8),
        "attributes": pairs(said or {}),
        **fields,
    }


def request(*spans: dict[str, Any], scope: str = "test", **resource: Any) -> dict[str, Any]:
    about = {"service.name": "weather"} | {key.replace("_", "."): one for key, one in resource.items()}
    scoped = {"scope": {"name": scope, "version": "1"}, "spans": list(spans)}
    return {"resourceSpans": [{"resource": {"attributes": pairs(about)}, "scopeSpans": [scoped]}]}


def log(number: int = 1, said: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """Return a log record of second `number`, made within the first span of the trace."""
    return {
        "timeUnixNano": str((NOW_S + number) * 10**9),
        "severityNumber": 9,
        "body": value(f"said {number}"),
        "traceId": TRACE,
        "spanId": f"{1:016x}",
        "attributes": pairs(said or {}),
        **fields,
    }


def logs(*records: dict[str, Any], scope: str = "test") -> dict[str, Any]:
    scoped = {"scope": {"name": scope, "version": "1"}, "logRecords": list(records)}
    return {"resourceLogs": [{"resource": {"attributes": pairs({"service.name": "weather"})}, "scopeLogs": [scoped]}]}


METRICS = {
    "resourceMetrics": [
        {
            "scopeMetrics": [
                {
                    "metrics": [
                        {"name": "a", "sum": {"dataPoints": [{"asInt": "1"}, {"asInt": "2"}]}},
                        {"name": "b", "gauge": {"dataPoints": [{"asDouble": 0.5}]}},
                        {"name": "c", "histogram": {"dataPoints": [{"count": "3", "bucketCounts": ["1", "2"]}]}},
                        {"name": "d", "exponentialHistogram": {"dataPoints": [{"count": "1"}]}},
                        {"name": "e", "summary": {"dataPoints": [{"count": "1"}]}},
                        {"name": "f"},
                    ]
                }
            ]
        }
    ]
}
KINDS: dict[str, Any] = {
    "resourceSpans": ExportTraceServiceRequest,
    "resourceLogs": ExportLogsServiceRequest,
    "resourceMetrics": ExportMetricsServiceRequest,
}


def protobuf(sent: dict[str, Any]) -> bytes:
    """Return the same request in protobuf. The library reads ids as base64, so they are put in by hand."""
    from google.protobuf import json_format

    plain = json.loads(json.dumps(sent))
    for group in [*plain.get("resourceSpans", []), *plain.get("resourceLogs", [])]:
        for part in [*group.get("scopeSpans", []), *group.get("scopeLogs", [])]:
            for one in [*part.get("spans", []), *part.get("logRecords", [])]:
                for name in {"traceId", "spanId", "parentSpanId"} & one.keys():
                    one[name] = b64encode(bytes.fromhex(one[name])).decode()
    (kind,) = plain
    return bytes(json_format.ParseDict(plain, KINDS[kind]()).SerializeToString())


def read(attributes: dict[str, Any], scope: str = "", name: str = "a span") -> Reading:
    """Return what a span's dialect reads in it."""
    made = WireSpan(
        trace=UUID(TRACE), span_id="1", parent_span_id=None, name=name, start_ns=1, end_ns=2, status=0, message="",
        attributes=attributes, events=[], scope=Scope(scope),
    )  # fmt: skip
    return dialect_of(made.scope, attributes).read(made)


def child(number: int, attributes: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return span(number, attributes, parentSpanId=f"{1:016x}", **fields)


def a_run() -> list[dict[str, Any]]:
    root = span(1, AGENT, endTimeUnixNano=str((NOW_S + 9) * 10**9), name="invoke_agent forecaster")
    return [child(2, CHAT), child(3, TOOL), child(4, CHAT | {"gen_ai.response.id": "resp-2"}), root]


class Exporter:
    """A client that sends OTLP to one project."""

    def __init__(self, project: Project, *scopes: str) -> None:
        self.project = project
        self.token = make_key(project, *scopes).token
        self.client = Client(raise_request_exception=False)

    def post(self, body: bytes, kind: str = PROTOBUF, path: str = "/v1/traces", **headers: str) -> Any:
        sent = {**bearer(self.token), **headers}
        # Named by itself: this client leaves the type of an empty body out.
        return self.client.generic("POST", path, body, kind, headers=sent, CONTENT_TYPE=kind)

    def send(self, *spans: dict[str, Any], **about: Any) -> Any:
        """Send spans in JSON and return the answer's JSON."""
        answer = self.post(json.dumps(request(*spans, **about)).encode(), JSON)
        assert answer.status_code == 200, answer.content
        return answer.json()

    def say(self, *records: dict[str, Any], **about: Any) -> Any:
        """Send log records in JSON and return the answer's JSON."""
        answer = self.post(json.dumps(logs(*records, **about)).encode(), JSON, "/v1/logs")
        assert answer.status_code == 200, answer.content
        return answer.json()

    def trace(self) -> Trace:
        return Trace.objects.of(self.project).get()

    def spans(self) -> list[Span]:
        return list(Span.objects.of(self.project).order_by("trace_ref", "started_at", "ended_at", "span_id"))

    def steps(self) -> list[Span]:
        return [one for one in self.spans() if one.event_type]
