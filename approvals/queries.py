"""Reads of this room that several callers need."""

from collections.abc import Collection
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count, Min, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest

from agentops.accounts.models import Project
from approvals.models import Approval, Status


def approvals(project: Project, *, status: str = "", run: str = "") -> "QuerySet[Approval]":
    """Return the project's approvals with what lists show, in one query. Raises ValidationError for a malformed run."""
    rows = Approval.objects.of(project).whole()
    if status:
        rows = rows.filter(status=status)
    if run:
        rows = rows.filter(action__run_id=run)
    return rows


def waiting_count(request: HttpRequest) -> tuple[int, str, str] | None:
    """Say in the navigation how many wait for a person. One query."""
    project = getattr(request, "project", None)
    waiting = Approval.objects.of(project).waiting().count() if project else 0
    return (waiting, "waiting", "wait") if waiting else None


def queue(project: Project) -> "QuerySet[Approval]":
    """Return what waits, by deadline. One query."""
    return Approval.objects.of(project).waiting().whole().order_by("expires_at", "id")


def waiting_sums(project: Project) -> dict[str, Any]:
    """Return how many wait (`n`), and when the next one expires (`expires_at`, None: never). One query."""
    return Approval.objects.of(project).waiting().aggregate(n=Count("id"), expires_at=Min("expires_at"))


def decided(project: Project) -> "QuerySet[Approval]":
    """Return what needed a person and waits no longer, for a keyset page by decided_at. One query."""
    return Approval.objects.of(project).decided().whole()


def decided_lately(project: Project) -> int:
    """Count what waits no longer since 24 hours. One query."""
    return Approval.objects.of(project).decided().filter(decided_at__gt=Now() - timedelta(hours=24)).count()


def last_alike(approval: Approval) -> Approval | None:
    """Return the last approved action of the same tool, for the comparison. One query."""
    alike = Approval.objects.of(approval.project_id).whole().filter(action__tool_name=approval.action.tool_name)
    ended = alike.filter(status=Status.APPROVED, decided_by__isnull=False).exclude(pk=approval.pk)
    return ended.order_by("-action__id").first()


def decided_among(ids: Collection[UUID]) -> list[UUID]:
    """Return those of these approvals, of whatever project, that wait no longer. One query, on no thread's connection.

    For who wakes waiting agents, and tells them nothing.
    """
    try:
        return list(Approval.objects.filter(pk__in=ids).exclude(status=Status.PENDING).values_list("pk", flat=True))
    finally:
        connection.close()
