"""What becomes of log records: steps of Claude Code and of the conventions' events, remarks on spans, or nothing."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.builders import make_project
from tests.traces.otlp import CHAT, JSON, NOW_S, TRACE, Exporter, child, log, logs, protobuf, request, span, value
from traces.models import IngestBatch, Span, Trace

pytestmark = pytest.mark.django_db
CLAUDE = "com.anthropic.claude_code.events"
PROMPT = "38b6972f-3bb0-4a23-aaf1-072917907b3a"
ALONE = {"traceId": "", "spanId": ""}


@pytest.fixture
def exporter() -> Exporter:
    return Exporter(make_project(), "ingest")


def event(number: int, name: str, said: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return an event of Claude Code as it is where only logs are exported: no trace, but a prompt and a session."""
    about = {"event.name": name, "session.id": "s-1", "prompt.id": PROMPT, "event.sequence": number}
    return log(number, about | said, body=value(f"claude_code.{name}"), **ALONE | fields)


REQUEST = {"model": "m", "input_tokens": 3, "cache_read_tokens": 7, "output_tokens": 2, "cost_usd_micros": 1500,
           "duration_ms": 500, "request_id": "req_0123456789abcdef"}  # fmt: skip
ANSWER = {"response": "Rain.", "request_id": REQUEST["request_id"]}
RESULT = {"tool_name": "Bash", "tool_use_id": "toolu_0123456789ab", "success": "false", "error": "exit 1",
          "duration_ms": "1000", "tool_input": '{"command": "ls"}'}  # fmt: skip
DECISION = {"tool_name": "Bash", "tool_use_id": "toolu_0123456789ab", "decision": "reject", "source": "user_reject",
            "tool_parameters": '{"full_command": "ls"}'}  # fmt: skip
EVENTS = [
    event(1, "user_prompt", {"prompt": "Weather?"}),
    event(2, "api_request", REQUEST),
    event(3, "assistant_response", ANSWER),
    event(4, "tool_decision", DECISION),
    event(5, "tool_result", RESULT),
    event(6, "api_error", {"model": "m", "error": "overloaded", "status_code": 529, "request_id": "req_of_the_failed"}),
    event(7, "internal_error", {"error_name": "TypeError"}),
    event(8, "compaction", {"trigger": "auto"}),
]


def told(exporter: Exporter) -> list[tuple[Any, ...]]:
    return [(one.event_type, one.tool_name, one.text or one.error or one.decision) for one in exporter.steps()]


def test_a_prompt_of_claude_code_that_sends_logs_alone_is_a_trace_with_its_steps(exporter: Exporter) -> None:
    assert exporter.say(*EVENTS, scope=CLAUDE) == {}
    assert told(exporter) == [
        ("human_gate", None, "Weather?"),
        ("model_response", None, "Rain."),
        ("human_gate", "Bash", "reject"),
        ("tool_call", "Bash", "exit 1"),
        ("model_response", None, "529 overloaded"),
        ("error", None, "TypeError"),
    ]
    trace = exporter.trace()
    assert (trace.trace_id, trace.title, trace.agent, trace.shape) == (UUID(PROMPT), "Weather?", "weather", "cmgeee")
    assert (trace.session and trace.session.session_id, trace.source, trace.errors) == ("s-1", "otlp_logs", 3)
    assert (trace.input_tokens, trace.cached_tokens, trace.output_tokens, float(trace.cost_usd or 0)) == (
        10,
        7,
        2,
        0.0015,
    )
    assert (trace.root_ended_at, trace.spans) == (None, 8)
    _, answer, gate, call, *_ = exporter.steps()
    assert answer.ended_at is not None
    assert answer.ended_at - answer.started_at == timedelta(seconds=0.5)
    assert (call.input, gate.input, call.is_error, gate.is_error) == ('{"command":"ls"}',) * 2 + (True, False)


@pytest.mark.parametrize("order", [range(8), reversed(range(8)), [2, 1, 5, 0, 7, 3, 4, 6]], ids=["on", "back", "mixed"])
def test_records_that_come_one_by_one_and_again_in_any_order_give_the_same_trace(
    exporter: Exporter, order: Any
) -> None:
    whole = Exporter(make_project(), "ingest")
    whole.say(*EVENTS, scope=CLAUDE)
    for place in [*order, *range(8)]:
        exporter.say(EVENTS[place], scope=CLAUDE)
    assert told(exporter) == told(whole)
    sums = ("steps", "spans", "errors", "input_tokens", "output_tokens", "cached_tokens", "cost_usd", "started_at")
    assert [getattr(exporter.trace(), name) for name in sums] == [getattr(whole.trace(), name) for name in sums]
    assert sum(IngestBatch.objects.of(exporter.project).values_list("duplicates", flat=True)) >= 7


def test_both_encodings_of_a_record_give_the_same_row(exporter: Exporter) -> None:
    said = {"n": 7, "nested": {"a": [1.5, True, "x"]}, "event.name": "remark"}
    sent = logs(log(1, said), log(2, {"k": "v"}, body=value({"a": [1]}), severityNumber=17), log(3, **ALONE))
    assert exporter.post(protobuf(sent), path="/v1/logs").status_code == 200
    assert exporter.post(json.dumps(sent).encode(), JSON, "/v1/logs").status_code == 200
    entries = IngestBatch.objects.order_by("id").values_list("source", "received", "accepted", "duplicates", "ignored")
    assert list(entries) == [("otlp_logs", 3, 3, 0, 1), ("otlp_logs", 3, 1, 2, 1)]
    assert not Span.objects.filter(revised=True).exists()


def test_the_json_of_a_record_is_read_as_clients_write_it(exporter: Exporter) -> None:
    body = b"""{"resource_logs": [{"scope_logs": [{"log_records": [{"future": 1,
        "trace_id": "CvdlGRbNQ92ESOshHIAxnA==", "span_id": "AAAAAAAAAAE=", "severity_number": "SEVERITY_NUMBER_ERROR2",
        "observed_time_unix_nano": 1795000001000000000, "event_name": "snake", "body": {"string_value": "s"},
        "attributes": [{"key": "inf", "value": {"double_value": "Infinity"}}]}]}]}]}"""
    assert exporter.post(body, JSON, "/v1/logs").json() == {}
    (stored,) = exporter.spans()
    assert (exporter.trace().trace_id.hex, stored.parent_span_id, stored.name) == (TRACE, f"{1:016x}", "snake")
    assert (stored.error, stored.attributes["otel.severity"], stored.attributes["inf"]) == ("s", 18, "inf")
    points = b'{"resource_metrics": [{"scope_metrics": [{"metrics": [{"gauge": {"data_points": [{}, {}]}}]}]}]}'
    assert exporter.post(points, JSON, "/v1/metrics").status_code == 200
    assert IngestBatch.objects.latest("id").ignored == 2


def test_a_record_that_stands_for_no_step_is_a_remark_on_the_span_it_was_made_in(exporter: Exporter) -> None:
    thrown = {"exception.type": "TimeoutError", "exception.message": "slow"}
    exporter.send(span(1))
    exporter.say(log(2, severityText="INFO"), log(3, thrown), log(4, severityNumber=21, eventName="gone"))
    _, remark, exception, fatal = exporter.spans()
    assert (remark.event_type, remark.parent_span_id, remark.text, remark.name) == (None, f"{1:016x}", "said 2", "INFO")
    assert (exception.error, fatal.error, fatal.name) == ("TimeoutError: slow", "said 4", "gone")
    assert (fatal.attributes["otel.severity"], fatal.attributes["otel.signal"]) == (21, "logs")
    trace = exporter.trace()
    assert (trace.name, trace.steps, trace.errors, trace.spans) == ("span 1", 0, 0, 4)


def test_a_record_without_a_trace_is_counted_and_that_is_said_once(exporter: Exporter) -> None:
    said = [exporter.say(log(1), log(2, **ALONE), log(3, traceId="0" * 32)) for _ in range(2)]
    assert "counted and not kept" in said[0]["partialSuccess"]["errorMessage"]
    assert (said[0]["partialSuccess"]["rejectedLogRecords"], said[1]) == ("0", {})
    assert (Span.objects.count(), IngestBatch.objects.latest("id").ignored) == (1, 2)


def test_a_step_that_names_no_run_is_rejected_alone(exporter: Exporter) -> None:
    details = CHAT | {"event.name": "gen_ai.client.inference.operation.details"}
    answer = exporter.say(log(1, details, **ALONE), log(2))
    assert answer["partialSuccess"]["rejectedLogRecords"] == "1"
    assert answer["partialSuccess"]["errorMessage"].startswith("log record 0: /traceId is absent")
    assert Span.objects.count() == 1


def test_a_record_without_times_is_of_its_receipt_and_one_without_its_own_of_its_observation(
    exporter: Exporter,
) -> None:
    exporter.say(log(1, timeUnixNano=0), log(2, timeUnixNano="0", observedTimeUnixNano=str((NOW_S + 5) * 10**9)))
    observed, none = exporter.spans()
    assert (observed.started_at.timestamp(), observed.repaired, none.repaired) == (NOW_S + 5, False, True)


def test_redacted_words_are_none(exporter: Exporter) -> None:
    hidden = "<REDACTED>"
    exporter.say(
        event(1, "user_prompt", {"prompt": hidden}), event(2, "assistant_response", {"response": hidden}), scope=CLAUDE
    )
    assert [one.text for one in exporter.spans()] == [None, None]
    assert exporter.trace().preview == ""


DETAILS = {key: CHAT[key] for key in CHAT if "usage" not in key} | {
    "event.name": "gen_ai.client.inference.operation.details"
}
BARE = {key: CHAT[key] for key in CHAT if "messages" not in key and key != "gen_ai.response.id"}
ASKS = {"role": "assistant", "tool_calls": [{"id": "call_0123456789", "function": {"name": "ask", "arguments": "{}"}}]}


def of_details(exporter: Exporter) -> None:
    exporter.say(log(3, DETAILS, spanId=f"{2:016x}"))


def of_messages(exporter: Exporter) -> None:
    inside = {"spanId": f"{2:016x}"}
    exporter.say(
        log(2, {"event.name": "gen_ai.user.message"}, body=value({"content": "Weather?"}), **inside),
        log(2, body=value({"id": "call_0123456789", "content": "yes"}), eventName="gen_ai.tool.message", **inside),
        log(3, eventName="gen_ai.choice", body=value({"index": 0, "message": ASKS | {"content": "Rain."}}), **inside),
    )


@pytest.mark.parametrize("say", [of_details, of_messages])
@pytest.mark.parametrize("first", ["log", "span"])
def test_what_an_event_tells_of_a_request_is_on_the_span_of_the_request(
    exporter: Exporter, say: Callable[[Exporter], None], first: str
) -> None:
    doors = [lambda: say(exporter), lambda: exporter.send(child(2, BARE), span(1))]
    for door in doors if first == "log" else reversed(doors):
        door()
    say(exporter)
    (answer,) = [one for one in exporter.steps() if one.event_type == "model_response"]
    assert (answer.span_id, answer.text, answer.input_tokens) == (f"{2:016x}", "Rain.", 30)
    assert (exporter.trace().preview, exporter.trace().input_tokens) == ("Weather?", 30)
    asked = [(one.tool_name, one.output) for one in exporter.steps() if one.event_type == "tool_call"]
    assert asked == ([] if say is of_details else [("ask", '"yes"')])


def test_an_event_of_a_conversation_without_a_trace_is_a_step_of_it(exporter: Exporter) -> None:
    exporter.say(log(1, CHAT | DETAILS | {"gen_ai.conversation.id": "c-1"}, **ALONE))
    (answer,) = exporter.steps()
    assert (answer.text, answer.thinking, answer.input_tokens) == ("Rain.", "Hm.", 30)
    assert exporter.trace().external_trace_id == "c-1"


def test_a_result_of_a_tool_within_another_is_not_taken_for_the_other(exporter: Exporter) -> None:
    tool = {"span.type": "tool", "tool_name": "Task", "tool_use_id": "toolu_ofthesubagent"}
    exporter.send(span(1, tool), scope="com.anthropic.claude_code.tracing")
    exporter.say(event(2, "tool_result", RESULT, traceId=TRACE, spanId=f"{1:016x}"), scope=CLAUDE)
    assert [(one.tool_name, one.is_error) for one in exporter.steps()] == [("Task", None), ("Bash", True)]


def test_requests_of_the_same_usage_are_told_apart_by_their_times(exporter: Exporter) -> None:
    used = {key: one for key, one in REQUEST.items() if key != "request_id"}
    spans = [child(n, used | {"span.type": "llm_request"}) for n in (2, 4)]
    said = [event(n, "api_request", used | {"duration_ms": 400}, traceId=TRACE, spanId=f"{1:016x}",
                  timeUnixNano=str(int((NOW_S + n + 0.45) * 10**9))) for n in (2, 4, 6)]  # fmt: skip
    exporter.say(said[1], said[0], said[2], scope=CLAUDE)
    exporter.send(*spans, scope="com.anthropic.claude_code.tracing")
    assert [one.span_id[:4] for one in exporter.steps()] == ["0000", "0000", "log-"]
    assert (exporter.trace().steps, exporter.trace().input_tokens) == (3, 30)
    assert float(exporter.trace().cost_usd or 0) == 0.0045


def test_a_trace_of_the_native_door_takes_remarks(exporter: Exporter) -> None:
    exporter.post(json.dumps(request(span(1))).encode(), JSON)
    exporter.say(log(1, traceId=TRACE.upper()))
    assert Trace.objects.count() == 1
