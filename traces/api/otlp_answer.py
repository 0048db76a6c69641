"""Answers of the OTLP door, in the encoding of the request: what was kept, and errors as google.rpc.Status."""

from http import HTTPStatus
from typing import Any

import msgspec
from django.http import HttpRequest, HttpResponse
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from traces.ingest.otlp_span import LOGS, METRICS, TRACES

PROTOBUF, JSON = "application/x-protobuf", "application/json"
RETRY_AFTER_S = "2"
# google.rpc.Code for each HTTP status that the door answers; UNKNOWN for any other.
CODES = {400: 3, 401: 16, 403: 7, 404: 5, 405: 12, 413: 8, 415: 3, 503: 14}
UNKNOWN = 2
RESPONSES = {
    TRACES: (ExportTraceServiceResponse, "rejected_spans", "rejectedSpans"),
    LOGS: (ExportLogsServiceResponse, "rejected_log_records", "rejectedLogRecords"),
    METRICS: (ExportMetricsServiceResponse, "rejected_data_points", "rejectedDataPoints"),
}


def is_json(request: HttpRequest) -> bool:
    """Say how the request is written, whatever the parameters beside its content type."""
    return (request.content_type or "").lower() == JSON


def is_protobuf(request: HttpRequest) -> bool:
    return (request.content_type or "").lower() in {PROTOBUF, "application/protobuf"}


def success(request: HttpRequest, signal: str, *, rejected: int = 0, message: str = "") -> HttpResponse:
    """Answer 200; `rejected` and `message` say what was not kept, or warn where nothing was rejected."""
    kind, field, json_field = RESPONSES[signal]
    if is_protobuf(request):
        answer: Any = kind()
        if rejected or message:
            setattr(answer.partial_success, field, rejected)
            answer.partial_success.error_message = message
        return HttpResponse(answer.SerializeToString(), content_type=PROTOBUF)
    # 64-bit numbers are text in the JSON of protobuf.
    said = {"partialSuccess": {json_field: str(rejected), "errorMessage": message}} if rejected or message else {}
    return HttpResponse(msgspec.json.encode(said), content_type=JSON)


def refuse(request: HttpRequest, status: int, detail: str) -> HttpResponse:
    """Answer an error as google.rpc.Status: in protobuf where the request is, else in JSON."""
    code = CODES.get(status, UNKNOWN)
    headers = {"Retry-After": RETRY_AFTER_S} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="agentops"'
    if is_protobuf(request):
        return HttpResponse(_status(code, detail), status=status, content_type=PROTOBUF, headers=headers)
    said = msgspec.json.encode({"code": code, "message": detail})
    return HttpResponse(said, status=status, content_type=JSON, headers=headers)


def _status(code: int, message: str) -> bytes:
    """Return google.rpc.Status on the wire: code is field 1, message field 2. Its generated class is no dependency."""
    text = message.encode()
    return bytes([0x08, code, 0x12]) + _varint(len(text)) + text


def _varint(number: int) -> bytes:
    parts = []
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])
