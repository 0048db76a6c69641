"""Mean time to detect: from the onset of a failure to the moment a person was told, with its misses."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from agentops.accounts.models import Project
from traces.alerts.models import Alert, PastOccurrence, Verdict
from traces.alerts.patterns import FAILURES

OBJECTIVE = timedelta(minutes=5)
OBJECTIVE_WORDS = "5 min"
CAP_WORDS = "1 h"
CAP = timedelta(hours=1)  # what took longer, or never arrived, is a miss and counts as this long


@dataclass(frozen=True)
class Point:
    """One failure. The onset is the detector's own: no drill or label gives it."""

    pattern: str
    alert_id: Any
    onset_at: datetime
    to_told_s: float  # from the onset, at most the cap
    receipt_to_told_s: float | None
    is_missed: bool


@dataclass(frozen=True)
class Figures:
    n: int
    mean_s: float | None = None
    p50_s: float | None = None
    p95_s: float | None = None
    max_s: float | None = None
    misses: int = 0
    receipt_to_told_p50_s: float | None = None
    receipt_to_told_p95_s: float | None = None

    @property
    def is_held(self) -> bool:
        """Say whether 95 of 100 were told within the objective."""
        return self.p95_s is None or self.p95_s <= OBJECTIVE.total_seconds()


def points(project: Project, since: datetime) -> list[Point]:
    """Return what failed and was received since a moment, oldest first. Two queries.

    Left out: false alarms and retracted ones, which were no failures; what a silence held back; and what is on its
    way to a person and not yet at the cap.
    """
    now = _rows(Alert.objects.of(project), since).values_list("pattern", "id", *_TIMES)
    past = _rows(PastOccurrence.objects.of(project), since).values_list("alert__pattern", "alert_id", *_TIMES)
    found = [_point(*row) for row in [*now, *past]]
    return sorted(found, key=lambda point: point.onset_at)


_TIMES = ("onset_at", "received_at", "delivered_at")


def _rows(rows: "QuerySet[Any]", since: datetime) -> "QuerySet[Any]":
    pattern = "pattern__in" if rows.model is Alert else "alert__pattern__in"
    drill = "drill" if rows.model is Alert else "alert__drill"
    ended = Q(delivered_at__isnull=False) | Q(told_at__lte=Now() - CAP)
    return (
        rows.filter(ended, received_at__gte=since, told_at__isnull=False, **{pattern: FAILURES, drill: None})
        .exclude(verdict__in=[Verdict.FALSE_POSITIVE, Verdict.RETRACTED])
        .order_by(F("received_at").asc())
    )


def _point(pattern: str, alert_id: Any, onset_at: datetime, received_at: datetime, told_at: datetime | None) -> Point:
    took = CAP if told_at is None else max(told_at - onset_at, timedelta())
    receipt_s = None if told_at is None else (told_at - received_at).total_seconds()
    return Point(pattern, alert_id, onset_at, min(took, CAP).total_seconds(), receipt_s, took >= CAP)


def figures(of: Iterable[Point]) -> Figures:
    """Return n, mean, median, 95th percentile (nearest rank), maximum and misses, and the part that is ours."""
    some = list(of)
    if not some:
        return Figures(0)
    took = sorted(point.to_told_s for point in some)
    ours = sorted(point.receipt_to_told_s for point in some if point.receipt_to_told_s is not None)
    return Figures(
        n=len(took),
        mean_s=round(sum(took) / len(took), 3),
        p50_s=percentile(took, 0.50),
        p95_s=percentile(took, 0.95),
        max_s=took[-1],
        misses=sum(point.is_missed for point in some),
        receipt_to_told_p50_s=percentile(ours, 0.50),
        receipt_to_told_p95_s=percentile(ours, 0.95),
    )


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """Return the nearest rank: the smallest value that at least this share of all does not exceed."""
    return ordered[max(ceil(share * len(ordered)) - 1, 0)] if ordered else None


def by_pattern(of: Sequence[Point]) -> dict[str, list[Point]]:
    """Return the points of each of the six patterns, those without any too."""
    return {pattern: [point for point in of if point.pattern == pattern] for pattern in FAILURES}
