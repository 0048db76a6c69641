"""The tools that were offered to a model: what its calls are checked against, and for which agent they are in force."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import msgspec

MAX_AGENTS = 50  # with tools of their own in one trace; those of one more count for everybody


class Tool(msgspec.Struct, frozen=True):
    """One entry of a toolset. It is hashable, so that what a detector makes of a schema can be kept by tool."""

    name: str
    schema_json: str | None = None  # the JSON Schema of its arguments, keys sorted, or None where it was not told
    risk: str = "unknown"

    @property
    def schema(self) -> dict[str, Any] | None:
        """Return the schema, which nobody may change; decoded once."""
        return None if self.schema_json is None else _decoded(self.schema_json)


class Toolset(msgspec.Struct, frozen=True):
    """Everything that was offered at once, by name."""

    tools: dict[str, Tool]


@lru_cache(maxsize=4_096)
def _decoded(schema_json: str) -> dict[str, Any]:
    schema: dict[str, Any] = msgspec.json.decode(schema_json)
    return schema


def toolset_of(offered: Iterable[dict[str, Any]]) -> Toolset:
    """Return the toolset for entries as they are stored: `{"name", "schema", "risk"}`, the last two if told."""
    return Toolset({tool["name"]: _tool(tool) for tool in offered})


def _tool(entry: dict[str, Any]) -> Tool:
    schema = entry.get("schema")
    text = msgspec.json.encode(schema, order="deterministic").decode() if isinstance(schema, dict) else None
    return Tool(entry["name"], text, entry.get("risk") or "unknown")


class Offers:
    """Which toolset is in force for whom, by the keys of toolsets.

    What a model step offers is its agent's until the same agent is offered something else. What comes with any other
    step, or with a step that names no agent, is for everybody and replaces all of it.
    """

    def __init__(self, in_force: dict[str, str] | None = None) -> None:
        self.in_force = dict(in_force or {})  # by agent, "" for everybody; plain, to be saved

    def note(self, key: str, agent: str | None, *, is_model: bool) -> None:
        """Take in what a step offers."""
        if not is_model or not agent or len(self.in_force) >= MAX_AGENTS:
            self.in_force = {"": key}
        else:
            self.in_force[agent] = key

    def keys_for(self, agent: str | None) -> tuple[str, ...]:
        """Return the keys of what this agent may call; empty when that is not known.

        A step that names no agent may be of any of them. An agent without tools of its own has everybody's, or, where
        only one agent ever said what it was offered, that agent's: nobody else is known to have other tools.
        """
        if agent and agent in self.in_force:
            return (self.in_force[agent],)
        if "" in self.in_force and agent:
            return (self.in_force[""],)
        keys = tuple(sorted(set(self.in_force.values())))
        return keys if len(keys) <= 1 or not agent else ()


def joined(toolsets: Iterable[Toolset]) -> Toolset:
    """Return one toolset of all; of two tools with one name, but different schemas, no schema is known."""
    tools: dict[str, Tool] = {}
    for toolset in toolsets:
        for name, tool in toolset.tools.items():
            known = tools.get(name, tool)
            tools[name] = tool if known == tool else Tool(name, None, known.risk)
    return Toolset(tools)
