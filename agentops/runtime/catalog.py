"""Putting a run together: its agent, the tools of the packs that are on, and the model."""

from agentops.runtime import llm, registry
from agentops.runtime.parts import Parts


def parts_of(agent: str) -> Parts:
    """Return what runs of an agent are made of. Raises LookupError for an agent that nobody knows."""
    tools = registry.tools_of(agent)
    about = registry.AGENTS[agent]
    return Parts(
        system=about.system,
        model_name=about.model,
        max_tokens=about.max_tokens,
        tools=tools,
        hashes={name: registry.definition_hash(tool) for name, tool in tools.items()},
        model=llm.answer,
    )
