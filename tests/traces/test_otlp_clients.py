"""What today's clients write in shapes of their own; tests/interop runs the clients themselves."""

import json
from typing import Any

import pytest

from tests.traces.otlp import read
from traces.ingest.record import toolset

CALL = {"name": "get_weather", "args": {"city": "Oslo"}, "id": "c-1"}
ASKED = {"content": "Weather?", "type": "human"}
ASKS = {"content": "Let me see.", "type": "ai", "tool_calls": [CALL]}
DONE = {"content": "7C", "type": "tool", "tool_call_id": "c-1", "status": "success"}


def constructed(message: dict[str, Any]) -> dict[str, Any]:
    return {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "AIMessage"], "kwargs": message}


def a_run_of_langchain(*messages: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    generation = {"type": "ChatGeneration", "message": constructed(answer)}
    return {
        "langsmith.span.kind": "llm",
        "gen_ai.usage.input_tokens": 30,
        "gen_ai.prompt": json.dumps({"messages": [[constructed(one) for one in messages]]}),
        "gen_ai.completion": json.dumps({"generations": [[generation]], "llm_output": {"id": "chatcmpl-0123"}}),
        "langsmith.metadata.usage_metadata": json.dumps({"input_token_details": {"cache_read": 20}}),
    }


def test_langsmith_sends_messages_as_langchain_constructs_them() -> None:
    found = read(a_run_of_langchain(ASKED, answer=ASKS))
    assert (found.text, found.preview, found.call_id) == ("Let me see.", "Weather?", "chatcmpl-0123")
    assert (found.input_tokens, found.cached_tokens) == (30, 20)
    assert [(call.id, call.name, call.arguments) for call in found.calls] == [("c-1", "get_weather", {"city": "Oslo"})]


def test_results_before_the_last_answer_are_history() -> None:
    said = {"content": "It is 7C.", "type": "ai"}
    found = read(a_run_of_langchain(ASKED, ASKS, DONE, answer=said))
    assert [(result.id, result.value) for result in found.results] == [("c-1", "7C")]
    assert read(a_run_of_langchain(ASKED, ASKS, DONE, said, ASKED, answer=said)).results == []


def test_langsmith_sends_the_answers_of_openais_client_too() -> None:
    answer = {"id": "chatcmpl-4567", "choices": [{"message": {"role": "assistant", "content": "It is 7C."}}]}
    found = read({"langsmith.span.kind": "llm", "gen_ai.completion": json.dumps(answer)})
    assert (found.text, found.call_id) == ("It is 7C.", "chatcmpl-4567")


@pytest.mark.parametrize(
    ("output", "result", "error"),
    [
        ({"output": DONE}, "7C", None),
        ({"output": {**DONE, "content": "no such city", "status": "error"}}, "no such city", "no such city"),
        ({"output": "7C"}, "7C", None),
        ({"c": 7}, {"c": 7}, None),
    ],
    ids=["a message", "a message of an error", "a text", "an object"],
)
def test_langsmith_wraps_what_a_tool_gave_back(output: Any, result: Any, error: str | None) -> None:
    found = read({"langsmith.span.kind": "tool", "gen_ai.tool.name": "f", "gen_ai.completion": json.dumps(output)})
    assert (found.result, found.error) == (result, error)


def test_a_graph_of_langgraph_is_an_agent_by_its_name() -> None:
    said = {"langsmith.span.kind": "chain", "langsmith.metadata.ls_integration": "langgraph"}
    assert read(said, name="forecaster").agent == "forecaster"
    assert read(said, name="LangGraph").agent is None
    assert read(said | {"langsmith.metadata.lc_agent_name": "clerk"}, name="LangGraph").agent == "clerk"


def observed(**details: Any) -> dict[str, Any]:
    sent = {f"langfuse.observation.{name}": json.dumps(value) for name, value in details.items()}
    return {"langfuse.observation.type": "generation", **sent}


def test_langfuse_sends_what_openais_client_was_given() -> None:
    messages = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "tool_calls": [{"id": "c-1", "function": {"name": "get_weather", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c-1", "content": "7C"},
    ]
    found = read(observed(input={"messages": messages, "tools": [{"type": "function", "function": {"name": "f"}}]}))
    assert (found.preview, found.tools) == ("Weather?", toolset([{"name": "f"}]))
    assert [(result.id, result.value) for result in found.results] == [("c-1", "7C")]


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 30, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 20}},
        {"input_tokens": 30, "output_tokens": 4, "input_tokens_details": {"cached_tokens": 20}},
        {"input": 10, "output": 3, "input_cache_read": 20, "output_reasoning": 1, "input_priority": 30, "total": 34},
        {"input": 10, "output": 4, "cache_read_input_tokens": 20},
    ],
    ids=["Chat Completions", "Responses", "Langfuse", "Anthropic"],
)
def test_langfuse_counts_as_the_provider_did_or_in_parts(usage: dict[str, Any]) -> None:
    found = read(observed(usage_details=usage))
    assert (found.input_tokens, found.output_tokens, found.cached_tokens) == (30, 4, 20)


def test_langfuse_sends_the_arguments_of_a_python_call() -> None:
    said = {"langfuse.observation.type": "tool", "langfuse.observation.input": '{"args": [], "kwargs": {"a": 1}}'}
    assert read(said).arguments == {"a": 1}
    positional = said | {"langfuse.observation.input": '{"args": [1], "kwargs": {}}'}
    assert read(positional).arguments == {"args": [1], "kwargs": {}}


def test_openllmetry_tells_a_tool_in_the_words_of_the_conventions() -> None:
    said = {
        "traceloop.span.kind": "tool",
        "gen_ai.tool.name": "f",
        "gen_ai.tool.call.arguments": '{"a": 1}',
        "gen_ai.tool.call.result": '{"b": 2}',
    }
    found = read(said)
    assert (found.tool_name, found.arguments, found.result) == ("f", {"a": 1}, {"b": 2})
