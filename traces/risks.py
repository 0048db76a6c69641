"""The known risk of a tool: what a project's policies say of its name, before what a trace declares."""

from fnmatch import fnmatchcase
from uuid import UUID

from traces.models import ToolRisk

WILDCARDS = "*?["
STRICTNESS = ("low", "medium", "high")


def exactness(pattern: str) -> tuple[bool, int]:
    """Return how exact a pattern of tool names is: a name beats a pattern, a longer pattern a shorter one."""
    return not set(WILDCARDS) & set(pattern), sum(letter not in WILDCARDS for letter in pattern)


class KnownRisks:
    """The risks that a project set, read when the first tool asks. One query."""

    def __init__(self, project_id: UUID) -> None:
        self._project_id = project_id
        self._patterns: list[tuple[str, str]] | None = None
        self._by_name: dict[str, str | None] = {}

    def of(self, tool_name: str) -> str | None:
        """Return the risk of a tool by the most exact pattern, of equals the stricter; None where none catches it."""
        if self._patterns is None:
            self._patterns = list(ToolRisk.objects.of(self._project_id).values_list("tool_pattern", "risk"))
        if tool_name not in self._by_name:
            found = [one for one in self._patterns if fnmatchcase(tool_name, one[0])]
            best = max(found, key=lambda one: (*exactness(one[0]), STRICTNESS.index(one[1]), one[0]), default=None)
            self._by_name[tool_name] = best[1] if best else None
        return self._by_name[tool_name]
