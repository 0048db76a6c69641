"""What each dialect says of a model's answer, of a tool and of the spans around them; captures tell of others."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import make_project
from tests.traces.otlp import Exporter, pairs, read, span
from traces.ingest.dialects.base import all_dialects, dialect_of
from traces.ingest.dialects.flat import unflatten
from traces.ingest.otlp_span import Scope
from traces.ingest.record import toolset


def text(value: Any) -> str:
    return json.dumps(value)


SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
ANSWERS: dict[str, tuple[str, dict[str, Any]]] = {
    "semconv": (
        "",
        {
            "gen_ai.operation.name": "chat", "gen_ai.response.model": "m", "gen_ai.usage.input_tokens": 30,
            "gen_ai.usage.output_tokens": 4, "gen_ai.usage.cache_read.input_tokens": 20,
            "gen_ai.input.messages": text([
                {"role": "user", "parts": [{"type": "text", "content": "Weather?"}]},
                {"role": "assistant", "parts": [{"type": "tool_call", "id": "c-0", "name": "ask", "arguments": "{}"}]},
                {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c-0", "result": "yes"}]},
            ]),
            "gen_ai.output.messages": text([{"role": "assistant", "parts": [
                {"type": "reasoning", "content": "Hm."}, {"type": "text", "content": "Let me see."},
                {"type": "tool_call", "id": "c-1", "name": "get_weather", "arguments": {"city": "Oslo"}},
            ]}]),
            "gen_ai.tool.definitions": text([{"type": "function", "name": "get_weather", "parameters": SCHEMA}]),
        },
    ),
    "openllmetry": (
        "opentelemetry.instrumentation.openai",
        {
            "llm.request.type": "chat", "gen_ai.request.model": "m", "gen_ai.usage.prompt_tokens": 30,
            "gen_ai.usage.completion_tokens": 4, "gen_ai.usage.cache_read_input_tokens": 20,
            "gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "Weather?",
            "gen_ai.prompt.1.role": "assistant", "gen_ai.prompt.1.tool_calls.0.id": "c-0",
            "gen_ai.prompt.1.tool_calls.0.name": "ask", "gen_ai.prompt.1.tool_calls.0.arguments": "{}",
            "gen_ai.prompt.2.role": "tool", "gen_ai.prompt.2.content": "yes", "gen_ai.prompt.2.tool_call_id": "c-0",
            "gen_ai.completion.0.role": "assistant", "gen_ai.completion.0.content": "Let me see.",
            "gen_ai.completion.0.reasoning": "Hm.", "gen_ai.completion.0.tool_calls.0.id": "c-1",
            "gen_ai.completion.0.tool_calls.0.name": "get_weather",
            "gen_ai.completion.0.tool_calls.0.arguments": '{"city": "Oslo"}',
            "llm.request.functions.0.name": "get_weather", "llm.request.functions.0.parameters": text(SCHEMA),
        },
    ),
    "openinference": (
        "openinference.instrumentation.x",
        {
            "openinference.span.kind": "LLM", "llm.model_name": "m", "llm.token_count.prompt": 30,
            "llm.token_count.completion": 4, "llm.token_count.prompt_details.cache_read": 20,
            "llm.input_messages.0.message.role": "user", "llm.input_messages.0.message.content": "Weather?",
            "llm.input_messages.1.message.role": "assistant",
            "llm.input_messages.1.message.tool_calls.0.tool_call.id": "c-0",
            "llm.input_messages.1.message.tool_calls.0.tool_call.function.name": "ask",
            "llm.input_messages.1.message.tool_calls.0.tool_call.function.arguments": "{}",
            "llm.input_messages.2.message.role": "tool", "llm.input_messages.2.message.content": "yes",
            "llm.input_messages.2.message.tool_call_id": "c-0",
            "llm.output_messages.0.message.role": "assistant",
            "llm.output_messages.0.message.contents.0.message_content.type": "reasoning",
            "llm.output_messages.0.message.contents.0.message_content.text": "Hm.",
            "llm.output_messages.0.message.contents.1.message_content.type": "text",
            "llm.output_messages.0.message.contents.1.message_content.text": "Let me see.",
            "llm.output_messages.0.message.tool_calls.0.tool_call.id": "c-1",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "get_weather",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": '{"city": "Oslo"}',
            "llm.tools.0.tool.json_schema": text({"name": "get_weather", "input_schema": SCHEMA}),
        },
    ),
    "vercel_ai": (
        "ai",
        {
            "ai.operationId": "ai.generateText.doGenerate", "ai.model.id": "m", "ai.usage.promptTokens": 30,
            "ai.usage.completionTokens": 4, "ai.usage.cachedInputTokens": 20,
            "ai.prompt.messages": text([
                {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
                {"role": "assistant", "content": [
                    {"type": "tool-call", "toolCallId": "c-0", "toolName": "ask", "input": {}}
                ]},
                {"role": "tool", "content": [{"type": "tool-result", "toolCallId": "c-0", "toolName": "ask",
                                              "output": {"type": "text", "value": "yes"}}]},
            ]),
            "ai.response.text": "Let me see.", "ai.response.reasoning": "Hm.",
            "ai.response.toolCalls": text([
                {"toolCallId": "c-1", "toolName": "get_weather", "args": '{"city": "Oslo"}'}
            ]),
            "ai.prompt.tools": [text({"type": "function", "name": "get_weather", "inputSchema": SCHEMA})],
        },
    ),
    "langsmith": (
        "langsmith",
        {
            "langsmith.span.kind": "llm", "langsmith.metadata.ls_model_name": "m", "gen_ai.usage.input_tokens": 30,
            "gen_ai.usage.output_tokens": 4, "gen_ai.usage.cache_read.input_tokens": 20,
            "gen_ai.prompt": text({"messages": [
                {"role": "user", "content": "Weather?"},
                {"role": "assistant", "tool_calls": [{"id": "c-0", "name": "ask", "args": {}}]},
                {"role": "tool", "tool_call_id": "c-0", "content": "yes"},
            ]}),
            "gen_ai.completion": text({"messages": [{"role": "assistant", "content": [
                {"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Let me see."},
                {"type": "tool_use", "id": "c-1", "name": "get_weather", "input": {"city": "Oslo"}},
            ]}]}),
            "gen_ai.tool.definitions": text([{"name": "get_weather", "input_schema": SCHEMA}]),
        },
    ),
    "pydantic_ai": (
        "pydantic-ai",
        {
            "gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 30,
            "gen_ai.usage.output_tokens": 4, "gen_ai.usage.details.cache_read_tokens": 20,
            "events": text([
                {"event.name": "gen_ai.user.message", "role": "user", "content": "Weather?"},
                {"event.name": "gen_ai.assistant.message", "role": "assistant", "tool_calls": [
                    {"id": "c-0", "function": {"name": "ask", "arguments": "{}"}}
                ]},
                {"event.name": "gen_ai.tool.message", "role": "tool", "id": "c-0", "tool_call_id": "c-0",
                 "content": "yes"},
                {"event.name": "gen_ai.choice", "message": {"role": "assistant", "content": [
                    {"kind": "thinking", "type": "thinking", "text": "Hm."}, {"type": "text", "text": "Let me see."}
                ], "tool_calls": [
                    {"id": "c-1", "function": {"name": "get_weather", "arguments": {"city": "Oslo"}}}
                ]}},
            ]),
            "model_request_parameters": text({"function_tools": [
                {"name": "get_weather", "parameters_json_schema": SCHEMA}
            ]}),
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("dialect", ANSWERS)
def test_each_dialect_says_the_same_of_the_same_answer(dialect: str) -> None:
    scope, attributes = ANSWERS[dialect]
    assert dialect_of(Scope(scope), attributes).name == dialect
    found = read(attributes, scope)
    assert (found.event_type, found.model, found.text, found.thinking) == ("model_response", "m", "Let me see.", "Hm.")
    assert (found.input_tokens, found.output_tokens, found.cached_tokens) == (30, 4, 20)
    assert [(call.id, call.name, call.arguments) for call in found.calls] == [("c-1", "get_weather", {"city": "Oslo"})]
    assert [(result.id, result.value) for result in found.results] == [("c-0", "yes")]
    assert [(call.id, call.name, call.arguments) for call in found.told] == [("c-0", "ask", {})]
    assert (found.preview, found.tools) == ("Weather?", toolset([{"name": "get_weather", "schema": SCHEMA}]))


TOOLS: list[tuple[str, str, dict[str, Any]]] = [
    ("semconv", "", {"gen_ai.tool.name": "f", "gen_ai.tool.call.id": "c", "gen_ai.tool.call.arguments": '{"a": 1}',
                     "gen_ai.tool.call.result": '{"b": 2}'}),
    ("semconv", "mcp", {"mcp.method.name": "tools/call", "gen_ai.tool.name": "f", "gen_ai.tool.call.id": "c",
                        "mcp.request.argument": '{"a": 1}', "mcp.response.value": '{"b": 2}'}),
    ("pydantic_ai", "pydantic-ai", {"gen_ai.tool.name": "f", "gen_ai.tool.call.id": "c", "tool_arguments": '{"a": 1}',
                                    "tool_response": '{"b": 2}'}),
    ("openllmetry", "traceloop.tracer", {"traceloop.span.kind": "tool", "traceloop.entity.name": "f",
                                         "gen_ai.tool.call.id": "c", "traceloop.entity.output": '{"b": 2}',
                                         "traceloop.entity.input": '{"args": [], "kwargs": {"a": 1}}'}),
    ("openinference", "x", {"openinference.span.kind": "TOOL", "tool.name": "f", "input.value": '{"a": 1}',
                            "output.value": text({"type": "tool", "data": {
                                "type": "tool", "content": {"b": 2}, "tool_call_id": "c"}})}),
    ("vercel_ai", "ai", {"ai.operationId": "ai.toolCall", "ai.toolCall.name": "f", "ai.toolCall.id": "c",
                         "ai.toolCall.args": '{"a": 1}', "ai.toolCall.result": '{"b": 2}'}),
    ("langsmith", "", {"langsmith.span.kind": "tool", "gen_ai.tool.name": "f", "tool_call_id": "c",
                       "gen_ai.prompt": '{"a": 1}', "gen_ai.completion": '{"b": 2}'}),
    ("langfuse", "langfuse-sdk", {"langfuse.observation.type": "tool", "gen_ai.tool.name": "f",
                                  "langfuse.observation.input": '{"a": 1}', "langfuse.observation.output": '{"b": 2}'}),
    ("claude_code", "com.anthropic.claude_code.tracing", {"span.type": "tool", "tool_name": "f", "tool_use_id": "c",
                                                          "tool_input": '{"a": 1}', "tool_output": '{"b": 2}'}),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "scope", "attributes"), TOOLS, ids=[one[0] for one in TOOLS])
def test_each_dialect_says_the_same_of_the_same_tool(dialect: str, scope: str, attributes: dict[str, Any]) -> None:
    assert dialect_of(Scope(scope), attributes).name == dialect
    found = read(attributes, scope)
    assert (found.event_type, found.tool_name, found.arguments, found.result) == ("tool_call", "f", {"a": 1}, {"b": 2})
    assert found.call_id == (None if dialect == "langfuse" else "c")


@pytest.mark.parametrize(
    ("scope", "attributes"),
    [
        ("", {"gen_ai.operation.name": "invoke_agent", "gen_ai.usage.input_tokens": 9, "gen_ai.request.model": "m"}),
        ("ai", {"ai.operationId": "ai.generateText", "ai.usage.promptTokens": 9, "ai.model.id": "m"}),
        ("langfuse", {"langfuse.observation.type": "agent", "langfuse.observation.usage_details": '{"input": 9}'}),
        ("x", {"openinference.span.kind": "CHAIN", "llm.token_count.prompt": 9, "llm.model_name": "m"}),
        ("pydantic-ai", {"gen_ai.operation.name": "invoke_agent", "gen_ai.aggregated_usage.input_tokens": 9}),
        ("traceloop.tracer", {"traceloop.span.kind": "workflow", "gen_ai.usage.input_tokens": 9}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_container_adds_up_is_not_counted_again(scope: str, attributes: dict[str, Any]) -> None:
    found = read(attributes, scope)
    assert (found.event_type, found.input_tokens, found.output_tokens) == (None, None, None)


@pytest.mark.parametrize(
    ("sent", "total"),
    [((5, 128_955, 1_253), 130_213), ((17_903, 17_817, 0), 17_903), ((19, 39_000, 0), 39_019), ((30, None, None), 30)],
    ids=str,
)
def test_tokens_of_a_cache_are_counted_once(sent: tuple[int, int | None, int | None], total: int) -> None:
    names = ("input_tokens", "cache_read.input_tokens", "cache_creation.input_tokens")
    usage = {f"gen_ai.usage.{name}": n for name, n in zip(names, sent, strict=True) if n is not None}
    found = read({"gen_ai.operation.name": "chat", **usage})
    assert (found.input_tokens, found.cached_tokens) == (total, sent[1])


def test_langfuse_tells_usage_and_cost_as_json() -> None:
    found = read(
        {
            "langfuse.observation.type": "generation",
            "langfuse.observation.model.name": "m",
            "langfuse.observation.usage_details": '{"input": 7, "output": 2, "total": 9}',
            "langfuse.observation.cost_details": '{"total": 0.25}',
            "langfuse.observation.output": '"fine"',
            "session.id": "s",
            "langfuse.environment": "prod",
        }
    )
    assert (found.event_type, found.model, found.input_tokens, found.output_tokens) == ("model_response", "m", 7, 2)
    assert (found.cost_usd, found.session, found.environment) == (0.25, "s", "prod")


def test_a_span_that_names_a_model_and_nothing_else_is_its_answer() -> None:
    found = read({"llm.model_name": "m", "prompt_tokens": 3})
    assert (found.event_type, found.model, found.input_tokens) == ("model_response", "m", 3)
    assert read({"http.route": "/"}).event_type is None


def test_what_a_scrubber_left_is_no_session() -> None:
    assert read({"gen_ai.tool.name": "f", "session.id": "[Scrubbed due to 'session']"}).session is None


def test_a_number_in_a_key_costs_no_memory() -> None:
    found = unflatten({"p.99999999.role": "user", "p.3.role": "tool", "p.x.role": "no", "p.3.role.deeper": 1}, "p.")
    assert [one["role"] for one in found] == ["tool", "user"]


@pytest.mark.django_db
def test_a_graph_that_waits_for_a_person_is_a_gate_and_no_failure() -> None:
    exporter = Exporter(make_project())
    waits = {"name": "exception", "attributes": pairs({"exception.type": "langgraph.errors.GraphInterrupt"})}
    node = {"openinference.span.kind": "CHAIN", "metadata": '{"langgraph_node": "approve"}'}
    failed = {"status": {"code": 2}, "events": [waits]}
    tool = {"openinference.span.kind": "TOOL", "tool.name": "pay", "metadata": '{"langgraph_node": "approve"}'}
    exporter.send(
        span(3, tool, name="pay", parentSpanId=f"{2:016x}", **failed),
        span(2, node, name="approve", parentSpanId=f"{1:016x}", **failed),
        span(1, {"openinference.span.kind": "AGENT"}, name="graph", **failed),
    )
    assert [(one.event_type, one.decision, one.is_error) for one in exporter.spans()] == [
        (None, None, False),
        ("human_gate", "pending", False),
        ("tool_call", None, False),
    ]
    assert exporter.trace().errors == 0


KEYS = sorted({key for _, said in ANSWERS.values() for key in said} | {key for *_, said in TOOLS for key in said})
WORDS = ["type", "role", "id", "name", "content", "tool_calls", "function", "arguments", "parts", "text", "value"]
VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
SCOPES = ["", "ai", "pydantic-ai", "com.anthropic.sdk.python", "com.anthropic.claude_code.tracing"]


@settings(deadline=None, max_examples=400)
@given(
    scope=st.sampled_from(SCOPES),
    attributes=st.dictionaries(st.sampled_from(KEYS), VALUES | VALUES.map(json.dumps), max_size=8),
)
def test_no_value_of_a_known_attribute_takes_a_dialect_by_surprise(scope: str, attributes: dict[str, Any]) -> None:
    read(attributes, scope)


def test_dialects_are_found_by_presence_and_the_special_ones_first() -> None:
    names = [one.name for one in all_dialects()]
    assert names[0] == "claude_code"
    assert names[-2:] == ["semconv", "plain"]
    assert len(names) == len(set(names)) >= 10
