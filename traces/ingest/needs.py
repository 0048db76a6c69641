"""What detection needs of what is sent: counted over spans, judged, and to which detectors each part matters."""

from collections.abc import Collection, Mapping
from enum import StrEnum

import msgspec

LOOP, SIGNATURE, DRIFT = "tool_loop", "bad_signature", "context_drift"
ROLLBACK, GAP, AUTOMATION = "missing_rollback", "observability_gap", "over_automation"
BUDGET = "budget"


class Need(msgspec.Struct, frozen=True):
    """One thing that clients may leave out."""

    name: str
    what: str
    of: str  # what each of should have it; a Tally's name
    matters_to: tuple[str, ...]
    without: str  # what is lost without it


class Tally(msgspec.Struct, kw_only=True):
    """Counts over the spans of one client; `have` counts by the name of a need."""

    spans: int = 0
    models: int = 0  # answers of a model
    tools: int = 0
    told: int = 0  # of the tools: without a span of their own, told of in messages
    gates: int = 0
    errors: int = 0
    traces: int = 0
    have: dict[str, int] = {}

    @property
    def steps(self) -> int:
        return self.models + self.tools + self.gates + self.errors


NEEDS = (
    Need("arguments", "arguments of tool calls", "tools", (LOOP, SIGNATURE, AUTOMATION),
         "Calls cannot be compared or checked against a schema."),
    Need("results", "results of tool calls", "tools", (LOOP, DRIFT, GAP, ROLLBACK, AUTOMATION),
         "A repeated call without news cannot be told from a poll that goes on."),
    Need("schemas", "tools as offered to the model, with their schemas", "models", (SIGNATURE, AUTOMATION),
         "Nobody knows which tools and arguments exist."),
    Need("tokens", "tokens of model answers", "models", (GAP, DRIFT, BUDGET),
         "Neither the fill of the context window nor the use is known."),
    Need("texts", "what the model said", "models", (DRIFT, SIGNATURE),
         "Mixed-up customers and tasks stay unseen, and so do values from nowhere."),
    Need("session", "a session for each trace", "traces", (DRIFT,),
         "The turns of one conversation are separate runs."),
    Need("agent", "the agent's name, or the service's", "traces", (),
         "Alerts name the API key instead, and those of several agents fall together."),
    Need("parents", "one trace for each run, its calls under one span", "traces", (LOOP, DRIFT, ROLLBACK),
         "Each call is a trace of its own; they are put together by session and by the ids of tool calls alone."),
)  # fmt: skip
ALL_OF_THEM = frozenset({"arguments", "results", "tokens", "session", "agent", "parents"})


class State(StrEnum):
    FOUND = "found"
    PARTLY = "partly"
    MISSING = "missing"
    UNKNOWN = "unknown"  # nothing came that should have it
    NEVER = "never"  # the client does not send it, whatever is set


def judge(need: Need, tally: Tally, never: Collection[str] = ()) -> State:
    """Say whether what came has what it should have.

    Schemas stay in force until others are offered, and an answer that only calls tools has no text: some are enough.
    """
    expected = getattr(tally, need.of)
    if not expected or (need.name == "schemas" and not tally.tools):
        return State.UNKNOWN
    have = tally.have.get(need.name, 0)
    if not have:
        return State.NEVER if need.name in never else State.MISSING
    return State.PARTLY if need.name in ALL_OF_THEM and have < expected else State.FOUND


def fix(need: Need, fixes: Mapping[str, str]) -> str:
    """Return the setting or the lines of code that would bring it, for a client with these fixes of its own."""
    return fixes.get(need.name) or CONVENTIONS.get(need.name, "")


# By hand, in the attributes of the OpenTelemetry conventions, which every dialect reads beside its own.
CONVENTIONS: dict[str, str] = {
    "arguments": 'span.set_attribute("gen_ai.tool.call.arguments", json.dumps(arguments))',
    "results": 'span.set_attribute("gen_ai.tool.call.result", json.dumps(result))',
    "schemas": 'span.set_attribute("gen_ai.tool.definitions", json.dumps(tools))',
    "tokens": 'span.set_attribute("gen_ai.usage.input_tokens", usage.input_tokens)\n'
    'span.set_attribute("gen_ai.usage.output_tokens", usage.output_tokens)',
    "texts": 'span.set_attribute("gen_ai.output.messages", json.dumps(messages))',
    "session": 'span.set_attribute("gen_ai.conversation.id", conversation_id)',
    "agent": "OTEL_SERVICE_NAME=my-agent",
    "parents": 'with tracer.start_as_current_span("invoke_agent", attributes={\n'
    '    "gen_ai.operation.name": "invoke_agent",\n'
    '    "gen_ai.agent.name": "my-agent"}):\n'
    "    run_the_agent()",
}
