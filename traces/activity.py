"""What a project's traces add up to: their states, the busiest agents, how the hours went, what came in."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import models
from django.db.models import Count, F, Q, Sum, Value

from agentops.accounts.models import Project
from traces.models import IngestBatch, Trace

_OF_ALL_KINDS = models.Func(
    F("redacted"),
    template="(SELECT coalesce(sum(n::integer), 0) FROM jsonb_each_text(%(expressions)s) AS counted (kind, n))",
    output_field=models.IntegerField(),
)


def facets(project: Project, since: datetime) -> dict[str, int]:
    """Return how many traces since a moment are in each state. One query."""
    rows = Trace.objects.of(project).filter(received_at__gte=since).values("status").annotate(n=Count("id"))
    return {row["status"]: row["n"] for row in rows}


def busiest(project: Project, since: datetime, limit: int = 5) -> list[dict[str, Any]]:
    """Return agents by their traces since a moment, with how many of those failed. One query."""
    rows = (
        Trace.objects.of(project)
        .filter(received_at__gte=since)
        .exclude(agent="")
        .values("agent")
        .annotate(
            traces=Count("id"),
            failed=Count("id", filter=Q(status="error")),
            steps=Sum("steps"),
            cost_usd=Sum("cost_usd"),
        )
        .order_by("-traces", "agent")[:limit]
    )
    return [dict(row) for row in rows]


def last_batch(project: Project) -> IngestBatch | None:
    """Return the batch received last. One query."""
    return IngestBatch.objects.of(project).order_by("-received_at", "-id").first()


FATES = {"received": "received", "accepted": "accepted", "duplicates": "duplicates", "repaired": "repaired",
         "ignored": "ignored", "rejected": "rejected_count", "redacted": _OF_ALL_KINDS}  # fmt: skip


def ledger(project: Project, since: datetime) -> dict[str, int]:
    """Return what became of everything received since a moment, in items, of which the ignored are apart. One query."""
    sums = in_all(ledger_by_source(project, since))
    return sums | {name: sums[name] - sums["ignored"] for name in ("received", "accepted")}


def ledger_by_source(project: Project, since: datetime) -> dict[str, dict[str, int]]:
    """Return the ledger's sums by source, with its batches and how many of those hold a rejection. One query."""
    rows = (
        IngestBatch.objects.of(project)
        .filter(received_at__gte=since)
        .values("source")
        .annotate(batches=Count("id"), with_rejections=Count("id", filter=Q(rejected_count__gt=0)))
        .annotate(**{f"sum_{name}": Sum(column) for name, column in FATES.items()})
        .order_by("source")
    )
    sums: dict[str, dict[str, int]] = {}
    for row in map(dict[str, Any], rows):
        source = row.pop("source")
        sums[source] = {name.removeprefix("sum_"): n for name, n in row.items()}
    return sums


def in_all(by_source: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """Add up the sources."""
    names = (*FATES, "batches", "with_rejections")
    return {name: sum(sums[name] for sums in by_source.values()) for name in names}


def per_interval(project: Project, since: datetime, until: datetime, bars: int) -> list[tuple[int, int]]:
    """Return (traces, of which failed) for each of `bars` equal stretches of time. One query."""
    width = (until - since) / bars
    counts = [(0, 0)] * bars
    rows = (
        Trace.objects.of(project)
        .filter(received_at__gte=since, received_at__lt=until)
        .annotate(bar=_bucket(since, width.total_seconds()))
        .values("bar")
        .annotate(n=Count("id"), failed=Count("id", filter=Q(status="error") | Q(errors__gt=0)))
    )
    for row in rows:
        counts[min(max(row["bar"], 0), bars - 1)] = (row["n"], row["failed"])
    return counts


def _bucket(since: datetime, width_s: float) -> models.Expression:
    seconds = models.Func(
        F("received_at") - Value(since),
        template="EXTRACT(EPOCH FROM %(expressions)s)",
        output_field=models.FloatField(),
    )
    return models.Func(seconds / Value(width_s), function="FLOOR", output_field=models.IntegerField())
