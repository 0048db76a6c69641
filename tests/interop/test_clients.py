"""One run of two steps as real clients tell of it: each by the lines of docs/connect.md, all with the same steps."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.instance import CHECKOUT
from tests.interop.conftest import Connect, Told
from tests.interop.guide import SESSION, sections
from tests.interop.model import ARGUMENTS, ASKS, INPUT, OUTPUT, READ, SAYS, TOOL

ASK, CALL, SAY = ("model_response", ASKS), ("tool_call", TOOL, ARGUMENTS, "7C rain"), ("model_response", SAYS)
RUN = [ASK, CALL, SAY]


@dataclass(frozen=True)
class Client:
    app: str
    session: str | None = SESSION
    agent: str = "weather_agent"
    tells_tools: bool = True


CLIENTS = {
    "OpenTelemetry": Client("spans"),
    "OpenTelemetry in JSON": Client("spans"),
    "OpenAI SDK, by OpenInference": Client("chat", agent="weather-agent"),
    "OpenAI SDK, by OpenLLMetry": Client("chat", agent="weather-agent"),
    "OpenAI Agents SDK, by OpenInference": Client("openai_agents"),
    "OpenAI Agents SDK, by OpenLLMetry": Client("openai_agents"),
    "LangGraph, by OpenInference": Client("graph", session="thread-1"),
    "LangGraph, by LangSmith": Client("graph", session="thread-1"),
    "Pydantic AI": Client("pydantic_agent", session=None),  # an id of its own
    "Langfuse": Client("observed", session="thread-1"),
    "Anthropic SDK, by OpenLLMetry": Client("messages", agent="weather-agent"),
    "Anthropic SDK": Client("messages", agent="weather-agent", tells_tools=False),
}


def steps(told: Told) -> list[tuple[Any, ...]]:
    return [
        ("tool_call", step["tool_name"], step["tool_input"], step["tool_output"])
        if step["event_type"] == "tool_call"
        else (step["event_type"], step["text"])
        for step in told.steps
    ]


@pytest.mark.parametrize("heading", CLIENTS)
def test_a_client_that_is_connected_as_the_guide_says_tells_the_whole_run_once(
    connect: Connect, heading: str, tmp_path: Path
) -> None:
    client = CLIENTS[heading]
    told = connect(sections()[heading], client.app)
    assert [steps(one) for one in told] == [RUN]
    sums = [sum(one.trace[field] for one in told) for field in ("input_tokens", "cached_tokens", "output_tokens")]
    assert sums == [2 * INPUT, 2 * READ, 2 * OUTPUT]
    assert {one.trace["agent"] for one in told} == {client.agent}
    sessions = {one.trace["session_id"] for one in told}
    assert len(sessions) == 1
    expected = tmp_path.name if client.session == SESSION else client.session
    assert sessions == {expected} if expected else None not in sessions
    offered = [step["tools"] for one in told for step in one.steps if step["event_type"] == "model_response"]
    assert [[tool["name"] for tool in tools or []] for tools in offered] == [[TOOL] if client.tells_tools else []] * 2


@pytest.mark.parametrize(
    "heading", [heading for heading, client in CLIENTS.items() if client.app in {"chat", "messages"}]
)
def test_answers_that_are_read_as_they_are_written_are_told_the_same(connect: Connect, heading: str) -> None:
    told = connect(sections()[heading], f"{CLIENTS[heading].app}_streamed")
    assert [steps(one) for one in told] == [RUN]
    sums = [sum(one.trace[field] for one in told) for field in ("input_tokens", "cached_tokens")]
    assert sums == [2 * INPUT, 2 * READ]
    # OpenLLMetry adds the token that the first event of Anthropic's stream counts to those of the last, which hold it.
    assert sum(one.trace["output_tokens"] for one in told) in {2 * OUTPUT, 2 * OUTPUT + 2}


@pytest.mark.parametrize("heading", ["LangGraph, by OpenInference", "Anthropic SDK, by OpenLLMetry"])
def test_a_client_that_sends_each_span_alone_tells_the_same(connect: Connect, heading: str) -> None:
    told = connect(
        sections()[heading], CLIENTS[heading].app, OTEL_BSP_MAX_EXPORT_BATCH_SIZE="1", OTEL_BSP_SCHEDULE_DELAY="1"
    )
    # A record that stood alone until the same request was told of keeps its trace, without a step.
    assert [steps(one) for one in told if one.steps] == [RUN]
    assert sum(one.trace["input_tokens"] for one in told) == 2 * INPUT


def test_every_section_of_the_guide_is_run_and_names_what_it_needs() -> None:
    assert set(sections()) == set(CLIENTS)
    group = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["dependency-groups"]["interop"]
    pinned = {name.partition(">")[0].partition("[")[0] for name in group}
    for heading, section in sections().items():
        assert section.needs, heading
        assert section.needs <= pinned, heading
