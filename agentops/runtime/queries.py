"""Reads of runs. One query each."""

from django.db.models import QuerySet

from agentops.accounts.models import Project
from agentops.runtime.models import Run, ToolCall
from agentops.runtime.states import CallStatus
from agentops.runtime.tools.base import Effect

_HAPPENED = frozenset({CallStatus.EXECUTING, CallStatus.SUCCEEDED, CallStatus.UNKNOWN})


def runs(project: Project, *, status: str = "") -> QuerySet[Run]:
    found = Run.objects.of(project)
    return found.filter(status=status) if status else found


def calls_of(run: Run) -> list[ToolCall]:
    """Return the calls of a run in their order, each with how it is undone."""
    return list(run.calls.select_related("compensation").in_order())


def effects_in(calls: list[ToolCall]) -> list[ToolCall]:
    """Return those that have, or may have, changed something."""
    return [call for call in calls if call.effect != Effect.READ and call.status in _HAPPENED]
