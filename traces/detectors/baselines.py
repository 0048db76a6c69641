"""The textbook rules beside our detectors in the table: a detector that only ties with them has learnt nothing."""

from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from referencing import Registry
from referencing.exceptions import Unresolvable

from traces.detectors.base import Level, Step
from traces.detectors.toolset import Tool

CALLS_OF_ONE_TOOL = 5


class Rule(NamedTuple):
    """A rule with a fixed threshold: the patterns it is a rival for, and the numbers of the steps that it accuses."""

    name: str
    patterns: frozenset[str]
    level: Level
    accuse: Callable[[list[Step]], set[int]]


def circuit_breaker(steps: list[Step]) -> set[int]:
    """Five or more calls of one tool in a run."""
    calls: Counter[str | None] = Counter()
    accused = set()
    for step in _calls(steps):
        calls[step.tool_name] += 1
        if calls[step.tool_name] >= CALLS_OF_ONE_TOOL:
            accused.add(step.number)
    return accused


def idempotency_guard(steps: list[Step]) -> set[int]:
    """The identical call twice in a row."""
    calls = pairwise(_calls(steps))
    return {b.number for a, b in calls if (a.tool_name, a.arguments_hash) == (b.tool_name, b.arguments_hash)}


def any_high_risk_call(steps: list[Step]) -> set[int]:
    """Any call of a tool that is declared to be of high risk."""
    return {step.number for step in _calls(steps) if step.risk == "high"}


def change_then_failure(steps: list[Step]) -> set[int]:
    """A tool that is declared to change something succeeded, and later such a call failed, or a call ended the run."""
    calls = [step for step in _calls(steps) if step.risk in {"medium", "high"}]
    first = next((step.number for step in calls if not step.is_error), None)
    ends = [step for step in steps[-1:] if step.event_type == "tool_call"]
    return {
        step.number for step in [*(call for call in calls if call.is_error), *ends] if first and step.number > first
    }


def strict_schema(steps: list[Step]) -> set[int]:
    """A tool of another name, or arguments that a JSON Schema validator refuses, none beside the declared ones."""
    return {step.number for step in _calls(steps) if step.toolset and not _is_valid(step.tool, step.arguments)}


RULES = (
    Rule("circuit_breaker", frozenset({"tool_loop"}), "trajectory", circuit_breaker),
    Rule("idempotency_guard", frozenset({"tool_loop"}), "trajectory", idempotency_guard),
    Rule("any_high_risk_call", frozenset({"over_automation"}), "trajectory", any_high_risk_call),
    Rule("change_then_failure", frozenset({"missing_rollback"}), "trajectory", change_then_failure),
    Rule("strict_schema", frozenset({"bad_signature"}), "call", strict_schema),
)

# Rules that only count, rivals of every pattern. Their thresholds are chosen in hindsight, on the very runs they are
# scored on, which flatters them: what does no better has learnt nothing.
COUNTS: dict[str, Callable[[list[Step]], int]] = {
    "call_count": lambda steps: sum(1 for _ in _calls(steps)),
    "run_length": len,
}


def _calls(steps: list[Step]) -> list[Step]:
    return [step for step in steps if step.event_type == "tool_call"]


def _is_valid(tool: Tool | None, arguments: Any) -> bool:
    if tool is None:
        return False
    validator = _validator(tool)
    try:
        return validator is None or validator.is_valid(arguments)
    except Unresolvable:
        return True


@lru_cache(maxsize=4_096)
def _validator(tool: Tool) -> Any:
    """Return the validator of a tool's schema, None where there is none or it is no schema. Loads nothing remote."""
    if tool.schema is None:
        return None
    schema = {"additionalProperties": False, **tool.schema} if "properties" in tool.schema else tool.schema
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError:
        return None
    return Draft202012Validator(schema, registry=Registry())
