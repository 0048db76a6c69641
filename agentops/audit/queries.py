"""What the audit page reads."""

from typing import Any

from django.db import models

from agentops.audit.models import Entry

PAGE = 50


def page(
    project: models.Model, *, action: str = "", actor: str = "", before: int | None = None
) -> tuple[list[Entry], int | None]:
    """Return a page of the project's chain, newest first, and where the next one begins. One query."""
    rows = Entry.objects.of(project).order_by("-seq")
    wanted: dict[str, Any] = {"action": action, "actor_name__iexact": actor, "seq__lt": before}
    rows = rows.filter(**{name: value for name, value in wanted.items() if value})
    found = list(rows[: PAGE + 1])
    return found[:PAGE], found[PAGE - 1].seq if len(found) > PAGE else None


def actions(project: models.Model) -> list[str]:
    """Return every action that occurs in the project's chain. One query."""
    return list(Entry.objects.of(project).order_by("action").values_list("action", flat=True).distinct())
