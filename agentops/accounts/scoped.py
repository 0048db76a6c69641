"""The one way to read rows that belong to a project: every room's managers build on it."""

from typing import Any, Self, TypeVar
from uuid import UUID

from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db import models
from django.db.models.manager import BaseManager
from django.http import Http404

Row = TypeVar("Row", bound=models.Model)


class ProjectScopedQuerySet(models.QuerySet[Row]):
    """Rows of one project: `Model.objects.of(project)`."""

    def of(self, project: models.Model | UUID) -> Self:
        return self.filter(project_id=project.pk if isinstance(project, models.Model) else project)


# For a model without a QuerySet of its own; the others subclass ProjectScopedQuerySet and use `as_manager()`.
ProjectScopedManager = models.Manager.from_queryset(ProjectScopedQuerySet)


def get_scoped_or_404(
    rows: type[Row] | BaseManager[Row] | models.QuerySet[Row], project: models.Model | UUID, **lookup: Any
) -> Row:
    """Return the one row of this project. Raises Http404, alike for a missing row, a foreign one and a malformed id."""
    queryset: models.QuerySet[Row]
    if isinstance(rows, models.QuerySet):
        queryset = rows
    else:
        queryset = (rows._default_manager if isinstance(rows, type) else rows).all()
    project_id = project.pk if isinstance(project, models.Model) else project
    if any(isinstance(value, str) and "\x00" in value for value in lookup.values()):
        raise Http404("Nothing is here.")  # Postgres has no NUL in its texts, so no row has
    try:
        return queryset.get(project_id=project_id, **lookup)
    except (ObjectDoesNotExist, ValidationError, ValueError):
        raise Http404("Nothing is here.") from None
