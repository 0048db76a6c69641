"""bad_signature: calls of tools that were not offered, or with arguments that do not fit their schema."""

import re
from collections.abc import Iterable, Iterator

import msgspec

from traces.detectors.base import Detector, Frozen, Hit, Mutable, Severity, Step, StepRef, detector
from traces.detectors.faults import Fault
from traces.detectors.provenance import Sources, identifiers
from traces.detectors.schema import check_of
from traces.detectors.toolset import Tool

MAX_GROUPS = 12  # of a kind and a tool that are told apart in a trace; what comes then shares one finding a kind
NAME_CHARS = 80

# What a tool's name can be made of; what follows it is a leak of the model's own format.
_NAME = re.compile(r"[\w.\-/:]+")

NEXT = {
    "unknown_tool": "Look at where the agent has the name from: an old prompt, another agent's tools, a leak of the"
    " model's format.",
    "schema_failed": "Compare the call with the schema; if the agent repeats it, show it the schema with the refusal.",
    "schema_tolerated": "Make the runtime refuse what breaks the schema, or correct the schema.",
    "provenance": "Look at whether the agent made it up before relying on what the call did.",
}


class Group(msgspec.Struct, array_like=True):
    """The calls of one tool with one kind of fault."""

    onset: StepRef
    count: int


@detector(pattern="bad_signature", severity=Severity.MEDIUM)
class BadSignature(Detector):
    """The agent calls a tool that it was not offered, or with arguments that the tool's schema does not allow.

    Definition: `unknown_tool`: the name is none of the tools in force for this agent at this step; a name with a leak
        of the model's format behind it, or with a prefix, stands for the tool it names unless the call failed.
        `schema_failed`: the arguments break the tool's JSON Schema, and the call failed, or the trace has no results;
        an argument beside the declared ones breaks it, null for an optional one does not. `schema_tolerated`: they
        break it and the call went well, or its result alone is missing; never an alert by itself. `provenance`: an
        identifier among the arguments that neither a person nor a result had named; never an alert by itself.
    Input: the tools that were offered, with their schemas; tool calls with arguments and outcome, but for those with
        which a runtime undoes others; for provenance, what people said and the results.
    Misses: values of the right type that are wrong; patterns and formats of a schema; tools that a provider runs
        and does not list; calls whose arguments were cut.
    Source: JSON Schema 2020-12; the name and type checks of the Berkeley Function Calling Leaderboard, Patil et al.
        2025; null for optional arguments and the two kinds of broken schemas: measured on recorded runs, see
        `evaluate`.
    """

    needs = frozenset({"text", "result", "truncated", "undoes"})
    level = "call"
    kinds = ("unknown_tool", "schema_failed", "schema_tolerated", "provenance")

    class Thresholds(Frozen):
        pass

    class State(Mutable):
        groups: dict[str, Group] = {}
        sources: Sources = msgspec.field(default_factory=Sources)
        has_results: bool = False  # the trace is one in which results are recorded
        without_tools: int = 0  # calls
        without_schema: int = 0
        cut: int = 0

    def see(self, step: Step) -> Iterator[Hit]:
        if step.event_type == "tool_call" and step.tool_name and not step.undoes:
            yield from self._signature(step, step.tool_name)
            yield from self._provenance(step)
            self.state.has_results = self.state.has_results or step.result_hash is not None
        self.state.sources.learn(step)

    def _signature(self, step: Step, name: str) -> Iterator[Hit]:
        if step.toolset is None:
            self.state.without_tools += 1
            return
        tool = step.tool or (None if step.is_error else _meant(name, step.toolset.tools))
        if tool is None:
            offered = len(step.toolset.tools)
            yield self._hit("unknown_tool", step, f"{_short(name)} is none of the {offered} tools that were offered")
        elif step.is_truncated or step.arguments is None:
            self.state.cut += step.is_truncated
        elif tool.schema_json is None:
            self.state.without_schema += 1
        elif (fault := check_of(tool.schema_json)(step.arguments)) is not None:
            yield self._broken(step, fault)

    def _broken(self, step: Step, fault: Fault) -> Hit:
        said = f"{_short(step.tool_name or '')} was called with arguments that break its schema ({fault})"
        if step.is_error:
            return self._hit("schema_failed", step, f"{said}, and failed")
        if step.result_hash is not None:
            return self._hit("schema_tolerated", step, f"{said}, and went well", Severity.LOW)
        if self.state.has_results:
            return self._hit("schema_tolerated", step, f"{said}; its result was not recorded", Severity.LOW)
        return self._hit("schema_failed", step, f"{said}; no results are recorded here")

    def _provenance(self, step: Step) -> Iterator[Hit]:
        sources = self.state.sources
        if not sources.is_heard:
            return
        allowed = (step.tool.schema_json or "") if step.tool else ""  # it may name values itself
        for one in identifiers(step.arguments):
            if sources.is_nowhere(one) and one.value not in allowed:
                for word in one.words:
                    sources.names.add(word)
                said = f"{_short(step.tool_name or '')} was called with {one.value}"
                yield self._hit("provenance", step, f"{said}, which no person and no result named", Severity.LOW)
                return

    def _hit(self, kind: str, step: Step, said: str, severity: Severity | None = None) -> Hit:
        groups = self.state.groups
        key = f"{kind} {(step.tool_name or '')[:NAME_CHARS]}"
        if key not in groups and len(groups) >= MAX_GROUPS:
            key = f"{kind} "
        group = groups.setdefault(key, Group(step.ref, 0))
        group.count += 1
        return Hit(
            kind,
            onset=group.onset,
            last=step.ref,
            say=f"{said}; {group.count} such calls so far." if group.count > 1 else f"{said}.",
            next=NEXT[kind],
            evidence=tuple(dict.fromkeys([group.onset.span_id, step.span_id])),
            tool=step.tool_name,
            severity=severity,
        )

    def coverage(self) -> Iterable[str]:
        state = self.state
        if state.without_tools:
            yield f"no tools were offered, as far as was recorded: {_calls(state.without_tools)} not checked"
        if state.without_schema:
            yield f"no schema was recorded: arguments of {_calls(state.without_schema)} not checked"
        if state.cut:
            yield f"arguments were cut: {_calls(state.cut)} not checked"
        if not state.sources.is_heard:
            yield "no words of a person are recorded: where identifiers come from is not looked at"


def _meant(name: str, tools: dict[str, Tool]) -> Tool | None:
    """Return the tool that a runtime took an odd name for: what the name begins with, or ends with after a prefix."""
    found = _NAME.match(name.strip())
    bare = found[0] if found else ""
    return tools.get(bare) or tools.get(re.split(r"[.:/]", bare)[-1])


def _calls(n: int) -> str:
    return f"{n:,} call{'' if n == 1 else 's'}"


def _short(name: str) -> str:
    return name if len(name) <= NAME_CHARS else f"{name[:NAME_CHARS]}…"
