"""The mapping report: what was read of real payloads, what they lack, for whom it matters, and what brings it."""

import html
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from agentops.accounts.models import Membership, Role
from tests.builders import make_membership, make_project, signed_in
from tests.traces.builders import send, step
from tests.traces.otlp import AGENT, CHAT, TOOL, Exporter, child, span
from traces.api import otlp_warning
from traces.ingest.dialects.base import all_dialects
from traces.ingest.needs import NEEDS, State
from traces.ingest.report import Client as Sender
from traces.ingest.report import report

pytestmark = pytest.mark.django_db
CALLS = {
    "gen_ai.output.messages": '[{"role":"assistant","parts":'
    '[{"type":"tool_call","id":"c","name":"pay","arguments":{}}]}]'
}


@pytest.fixture
def member() -> Membership:
    return make_membership(role=Role.VIEWER)


@pytest.fixture
def exporter(member: Membership) -> Exporter:
    return Exporter(member.project)


def states(client: Sender) -> dict[str, str]:
    return {line.need.name: str(line.state) for line in client.lines}


def short(client: Sender) -> set[str]:
    return {line.need.name for line in client.missing}


# Of each capture: its dialect, model answers and tool calls, what is missing or partly there.
CAPTURES: dict[str, tuple[str, int, int, set[str]]] = {
    "opentelemetry-sdk": ("semconv", 1, 1, {"arguments", "results", "schemas", "texts"}),
    "pydantic-ai-logfire": ("pydantic_ai", 2, 1, set()),
    "langgraph": ("openinference", 2, 1, set()),
    "openinference-openai": ("openinference", 2, 1, {"results", "session", "parents"}),
    "openinference-anthropic": ("openinference", 4, 2, {"parents"}),
    "openllmetry-anthropic": ("semconv", 4, 2, {"session", "parents"}),
    "claude-code": ("claude_code", 2, 1, {"results", "texts"}),
}


@pytest.mark.data
@pytest.mark.parametrize("name", CAPTURES)
def test_a_capture_is_reported_with_what_was_read_and_what_is_missing(
    exporter: Exporter, lent_data: Path, name: str
) -> None:
    files = sorted((lent_data / "otlp").glob(f"{name}.*.traces.pb"))
    if not files:
        pytest.skip(f"the capture of {name} is absent")
    dialect, models, tools, missing = CAPTURES[name]
    said = exporter.post(files[0].read_bytes())
    client = report(exporter.project)[0]
    assert (client.dialect, client.tally.models, client.tally.tools) == (dialect, models, tools)
    assert short(client) == missing
    assert all(line.fix for line in client.missing)
    warned = ExportTraceServiceResponse.FromString(said.content).partial_success
    assert warned.rejected_spans == 0
    # A result that only messages tell of comes with the next request, and words with log records, so one request alone
    # says nothing of them.
    (kind,) = (one for one in all_dialects() if one.name == dialect)
    for line in client.missing:
        apart = line.need.name in kind.beside or (line.need.name == "results" and client.tally.told)
        if line.state == State.MISSING and not apart:
            assert line.need.what in warned.error_message
            assert line.fix.splitlines()[0] in warned.error_message
    assert bool(warned.error_message) == bool(missing)


def test_what_is_missing_is_said_once_and_again_when_its_time_has_come(
    exporter: Exporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = [exporter.send(child(n, TOOL | {"gen_ai.tool.call.arguments": ""})) for n in (2, 3)]
    assert "arguments of tool calls (for tool_loop" in said[0]["partialSuccess"]["errorMessage"]
    assert "/ingest" in said[0]["partialSuccess"]["errorMessage"]
    assert said[0]["partialSuccess"]["rejectedSpans"] == "0"
    assert said[1] == {}
    monkeypatch.setattr(otlp_warning, "AGAIN_AFTER_S", 0.0)
    assert exporter.send(child(4, TOOL | {"gen_ai.tool.call.arguments": ""})) == said[0]


@pytest.mark.parametrize(
    "spans",
    [
        [span()],  # no step: of another part of the program
        [child(2, CHAT)],  # its root may say the session
        [
            span(1, AGENT),
            child(2, CHAT),
            child(3, TOOL),
            child(4, CHAT | {"gen_ai.tool.definitions": '[{"name":"a"}]'}),
        ],
        [child(2, CHAT | CALLS | {"gen_ai.tool.definitions": '[{"name":"pay"}]'})],  # whose result is yet to come
    ],
    ids=["no step", "no root", "all of it", "a call without its result"],
)
def test_nobody_is_warned_of_what_may_be_in_order(exporter: Exporter, spans: list[dict[str, Any]]) -> None:
    assert exporter.send(*spans) == {}


def test_refused_spans_are_said_before_what_is_missing(exporter: Exporter) -> None:
    said = exporter.send(span(1, TOOL), span(2, spanId=""))["partialSuccess"]
    assert (said["rejectedSpans"], said["errorMessage"][:7]) == ("1", "span 1:")


def test_each_need_is_judged_by_what_should_have_it(exporter: Exporter, member: Membership) -> None:
    exporter.send(span(1, AGENT), child(2, CHAT))
    (client,) = report(member.project)
    assert states(client)["arguments"] == states(client)["schemas"] == "unknown"  # no tool was called
    exporter.send(child(3, TOOL), child(4, TOOL | {"gen_ai.tool.call.arguments": ""}))
    (client,) = report(member.project)
    assert states(client)["arguments"] == "partly"
    assert (states(client)["schemas"], states(client)["session"]) == ("missing", "found")
    exporter.send(span(5, CHAT | CALLS, traceId="b" * 32))  # with a call, and nothing around it
    (client,) = report(member.project)
    assert (states(client)["parents"], states(client)["session"]) == ("partly", "partly")


def test_one_question_to_a_model_is_a_run_without_parents(exporter: Exporter, member: Membership) -> None:
    exporter.send(span(1, CHAT))
    assert states(report(member.project)[0])["parents"] == "found"


def test_native_steps_are_reported_with_the_fields_that_bring_what_is_missing(member: Membership) -> None:
    send(member.project, step(1, tool_input={"q": 1}), step(2, event_type="model_response", tool_name=None, text="Hm."))
    (client,) = report(member.project)
    assert (client.dialect, short(client)) == ("native", {"results", "schemas", "tokens", "session", "agent"})
    assert {line.need.name: line.fix for line in client.missing}["session"] == '"session_id": "…"'


def test_what_was_not_sent_by_a_client_and_what_others_sent_is_not_reported(member: Membership) -> None:
    send(member.project, step(1), source="import", backfill=True)
    send(make_project(), step(2))
    assert report(member.project) == []
    assert "Nothing was read of a client yet" in signed_in(member).get("/ingest").content.decode()


def test_the_page_shows_it_and_a_part_of_it(exporter: Exporter, member: Membership) -> None:
    client = signed_in(member)
    assert "Nothing came yet" in client.get("/ingest").content.decode()
    exporter.send(span(1, TOOL | {"gen_ai.tool.call.arguments": ""}), scope="<b>scope</b>")
    for headers in ({}, {"HX-Request": "true"}):
        page = html.unescape(client.get("/ingest", headers=headers).content.decode())
        assert "semconv" in page
        assert "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=SPAN_ONLY" in page
        assert ("<title" in page) == (not headers)
    assert "<b>scope</b>" not in client.get("/ingest").content.decode()
    start = client.get("/start").content.decode()
    assert 'href="/ingest"' in start
    assert "arguments of tool calls" in start


def test_every_fix_of_a_dialect_is_for_a_need() -> None:
    names = {need.name for need in NEEDS}
    for dialect in all_dialects():
        assert set(dialect.fixes) | dialect.never | dialect.beside <= names


def test_a_report_reads_so_many_spans_of_so_many_traces_and_no_more(member: Membership) -> None:
    send(member.project, *(step(n) for n in range(300)))
    for n in range(60):
        send(member.project, step(1, trace=f"more-{n}"))
    (one,) = report(member.project)
    assert (one.tally.traces, one.tally.spans) == (50, 50)
    send(member.project, *(step(n, trace="long") for n in range(300)))
    (one,) = report(member.project)
    assert one.tally.spans == 49 + 100
