"""Requests as real clients sent them: each gives the run that it tells of, once, whole and in order."""

import json
from collections.abc import Callable
from decimal import Decimal
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tests.builders import make_project
from tests.traces.otlp import Exporter
from traces.models import Span, Trace

pytestmark = [pytest.mark.django_db, pytest.mark.data]
Parts = list[tuple[str, bytes]]
OSLO = {"city": "Oslo"}
CALL, DONE = ("tool_call", "get_weather", OSLO, None), ("tool_call", "get_weather", OSLO, "7C rain")
ASKS, SAYS = ("model_response", "Let me check."), ("model_response", "It is 7C and raining in Oslo.")
DIRECT = ("tool_call", "get_weather", {"args": ["Oslo"], "kwargs": {}}, "7C")


@pytest.fixture
def exporter() -> Exporter:
    return Exporter(make_project())


def bodies(lent_data: Path, client: str) -> list[bytes]:
    files = sorted((lent_data / "otlp").glob(f"{client}.*.traces.pb"))
    if not files:
        pytest.skip(f"the capture of {client} is absent")
    return [file.read_bytes() for file in files]


def told(steps: list[Span]) -> list[tuple[Any, ...]]:
    """Return what steps say: the model's text; a tool with its arguments and its result; a decision."""
    return [
        (step.event_type, step.tool_name, _json(step.input), _json(step.output))
        if step.event_type == "tool_call"
        else (step.event_type, step.text if step.event_type == "model_response" else step.decision)
        for step in steps
    ]


def _json(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def runs(exporter: Exporter) -> list[list[tuple[Any, ...]]]:
    """Return the steps of each trace, the traces in the order of their start."""
    traces = Trace.objects.of(exporter.project).order_by("started_at")
    return [told([step for step in exporter.steps() if step.trace_ref_id == trace.pk]) for trace in traces]


RUNS: dict[str, list[list[tuple[Any, ...]]]] = {
    "opentelemetry-sdk": [[("model_response", None), ("tool_call", "get_weather", None, None)]],
    "pydantic-ai-logfire": [[ASKS, DONE, SAYS]],
    "langgraph": [[ASKS, DONE, SAYS]],
    "openinference-openai": [[("model_response", None), CALL], [SAYS]],
    "openinference-anthropic": [[ASKS, DONE, SAYS] * 2],
    "openllmetry-anthropic": [[ASKS, DONE, SAYS]] * 2,
    "traceloop-sdk": [[DIRECT, ASKS, DONE, SAYS]],
    "claude-code": [
        [
            ("model_response", None),
            ("human_gate", "accept"),
            ("tool_call", "Bash", {"command": "echo hello-from-fake"}, None),
            ("model_response", None),
        ]
    ],
}
# Requests to a model, each with 1,521 tokens, those of a cache included, and 45 in the answer (one client says 46).
REQUESTS = {
    "pydantic-ai-logfire": 2, "langgraph": 2, "openinference-anthropic": 4, "openllmetry-anthropic": 4,
    "traceloop-sdk": 2, "claude-code": 2,
}  # fmt: skip
SESSIONS = {
    "opentelemetry-sdk": ("conv-1", "weather-agent"),
    "pydantic-ai-logfire": ("01a203a7-9e11-74d7-bf3f-f1718a9732d6", "weather_agent"),
    "langgraph": ("th-1", "weather_agent"),
    "openinference-openai": (None, "weather-agent"),
    "openinference-anthropic": ("sess-1", "weather-agent"),
    "openllmetry-anthropic": (None, "weather-agent"),
    "traceloop-sdk": ("s-1", "weather_agent"),
    "claude-code": ("e0075df1-8b06-41e4-8772-70996f64ede4", "claude-code"),
}


@pytest.mark.parametrize("client", RUNS)
def test_a_capture_gives_its_run_once_with_its_tokens_session_and_agent(
    exporter: Exporter, lent_data: Path, client: str
) -> None:
    for body in bodies(lent_data, client):
        answer = exporter.post(body)
        assert answer.status_code == 200
        assert ExportTraceServiceResponse.FromString(answer.content).partial_success.rejected_spans == 0
    assert runs(exporter) == RUNS[client]
    traces = Trace.objects.of(exporter.project)
    if n := REQUESTS.get(client):
        sums = [
            sum(values)
            for values in zip(*traces.values_list("input_tokens", "output_tokens", "cached_tokens"), strict=True)
        ]
        assert (sums[0], sums[2]) == (n * 1521, n * 1000)
        assert n * 45 <= sums[1] <= n * 45 + 2
    about = {(trace.session.session_id if trace.session else None, trace.agent) for trace in traces}
    assert about == {SESSIONS[client]}


@pytest.mark.parametrize("client", RUNS)
@pytest.mark.parametrize("backwards", [False, True], ids=["in order", "backwards"])
def test_a_capture_sent_span_by_span_and_again_gives_the_same_run(
    exporter: Exporter, lent_data: Path, client: str, backwards: bool
) -> None:
    parts = [part for body in bodies(lent_data, client) for part in one_by_one(body)]
    for part in [*(reversed(parts) if backwards else parts), *parts]:
        assert exporter.post(part).status_code == 200
    found = runs(exporter)
    assert [run for run in found if run] == RUNS[client]
    traces = Trace.objects.of(exporter.project)
    if n := REQUESTS.get(client):
        assert sum(traces.values_list("input_tokens", flat=True)) == n * 1521
    for trace in traces:
        spans = [span for span in exporter.spans() if span.trace_ref_id == trace.pk]
        assert (trace.spans, trace.steps) == (len(spans), sum(span.event_type is not None for span in spans))


BY_CLAUDE = [("human_gate", None), ("model_response", "Let me check."), ("human_gate", "accept"),
             ("tool_call", "Bash", {"command": "echo hello-from-fake"}, None),
             ("model_response", "It is 7C and raining in Oslo.")]  # fmt: skip


def interleaved(first: Parts, second: Parts) -> Parts:
    return [part for pair in zip_longest(first, second) for part in pair if part]


ORDERS: dict[str, Callable[[Parts, Parts], Parts]] = {
    "logs alone": lambda logs, spans: logs,
    "logs first": lambda logs, spans: [*logs, *spans],
    "spans first": lambda logs, spans: [*spans, *logs],
    "backwards": lambda logs, spans: [*reversed(logs), *reversed(spans)],
    "by turns": interleaved,
    "again": lambda logs, spans: [*spans, *logs, *reversed(spans), *logs],
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("apart", [False, True], ids=["whole", "one by one"])
def test_spans_and_log_records_of_one_run_tell_of_each_call_once(
    exporter: Exporter, lent_data: Path, order: str, apart: bool
) -> None:
    logs, spans = ((lent_data / "otlp" / f"claude-code.{name}.pb").read_bytes() for name in ("032.logs", "031.traces"))
    said = [("/v1/logs", part) for part in (records_one_by_one(logs) if apart else [logs])]
    traced = [("/v1/traces", part) for part in (one_by_one(spans) if apart else [spans])]
    for path, part in ORDERS[order](said, traced):
        assert exporter.post(part, path=path).status_code == 200
    expected = BY_CLAUDE
    if order == "logs alone":
        call = ("tool_call", "Bash", {"command": "echo hello-from-fake", "description": "say hello"}, None)
        expected = [*BY_CLAUDE[:3], call, BY_CLAUDE[4]]
    if apart:  # the words of an answer belong to a request by its id; where it has none, by the batch alone
        expected = [step if step[0] != "model_response" else (step[0], None) for step in expected]
    assert runs(exporter) == [expected]
    trace = Trace.objects.of(exporter.project).get()
    assert (trace.steps, trace.input_tokens, trace.cached_tokens, trace.output_tokens) == (5, 3042, 2000, 90)
    assert (trace.cost_usd, trace.errors, sorted(trace.shape)) == (Decimal("0.006768"), 0, sorted("cmgtm"))
    assert trace.spans == len(exporter.spans())
    assert not Span.objects.filter(revised=True).exists()


def records_one_by_one(body: bytes) -> list[bytes]:
    """Return a request for each record of a request."""
    made = []
    for group in ExportLogsServiceRequest.FromString(body).resource_logs:
        for part in group.scope_logs:
            for record in part.log_records:
                one = ExportLogsServiceRequest()
                scoped = one.resource_logs.add(resource=group.resource).scope_logs.add(scope=part.scope)
                scoped.log_records.append(record)
                made.append(one.SerializeToString())
    return made


def one_by_one(body: bytes) -> list[bytes]:
    """Return a request for each span of a request."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    made = []
    for group in ExportTraceServiceRequest.FromString(body).resource_spans:
        for part in group.scope_spans:
            for span in part.spans:
                one = ExportTraceServiceRequest()
                one.resource_spans.add(resource=group.resource).scope_spans.add(scope=part.scope).spans.append(span)
                made.append(one.SerializeToString())
    return made


@pytest.mark.parametrize("client", [*RUNS])
def test_tools_that_were_offered_are_kept(exporter: Exporter, lent_data: Path, client: str) -> None:
    for body in bodies(lent_data, client):
        exporter.post(body)
    offered = [step for step in exporter.steps() if step.toolset_id is not None]
    assert bool(offered) == (client not in {"opentelemetry-sdk", "claude-code"})
    for step in offered:
        assert step.toolset is not None
        (tool,) = step.toolset.tools
        assert (tool["name"], tool["schema"]["properties"]["city"]) == ("get_weather", {"type": "string"})
