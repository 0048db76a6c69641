"""Mean time to detect: from the onset of a failure to the moment a person was told, with its misses."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from math import ceil
from typing import Any, TypeVar

from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Now

from agentops.accounts.models import Project
from traces.alerts.models import OBJECTIVE, RANK, Alert, Occurrence, PastOccurrence, Verdict
from traces.alerts.patterns import FAILURES
from traces.detectors.models import Finding, FindingState

OBJECTIVE_WORDS = "5 min"
CAP_WORDS = "1 h"
CAP = timedelta(hours=1)  # what took longer, or never arrived, is a miss and counts as this long
MEASURED = (*FAILURES, "budget")

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, kw_only=True)
class Point:
    """One failure, from its onset (T0) on. The onset is the detector's own, but for a drill's: that was registered."""

    pattern: str
    severity: str
    onset_at: datetime
    to_told_s: float  # T0 to T7, at most the cap
    receipt_to_told_s: float | None = None  # T2 to T7
    own_s: float | None = None  # of a drill: to T7 from the onset that the detector gave
    is_missed: bool = False
    is_late: bool = False  # what shows it reached us when the objective was over
    alert_id: Any = None
    legs: tuple[float | None, ...] = ()  # in seconds, as traces.alerts.legs names them
    to_acknowledged_s: float | None = None  # T7 to T8
    to_resolved_s: float | None = None  # T7 to T9
    is_waiting: bool = False  # nobody acknowledged or resolved it
    is_unresolved: bool = False


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
    late: int = 0
    own_p50_s: float | None = None
    own_p95_s: float | None = None

    @property
    def is_held(self) -> bool:
        """Say whether 95 of 100 were told within the objective."""
        return self.p95_s is None or self.p95_s <= OBJECTIVE.total_seconds()


def points(project: Project, since: datetime) -> list[Point]:
    """Return what failed and was received since a moment, oldest first. Two queries.

    Left out: drills and imported runs, which are counted apart; false alarms and retracted ones, which were no
    failures; what a silence held back; and what is on its way to a person and not yet at the cap.
    """
    rows = [*_rows(Alert.objects.of(project), since), *_rows(PastOccurrence.objects.of(project), since)]
    return sorted((point_of(row, row.onset_at) for row in rows), key=lambda point: point.onset_at)


_TIMES = (
    "severity", "onset_at", "received_at", "detected_at", "alerted_at", "first_attempt_at", "delivered_at",
    "acknowledged_at", "resolved_at",
)  # fmt: skip


def _rows(rows: "QuerySet[Any]", since: datetime) -> "QuerySet[Any]":
    of = "" if rows.model is Alert else "alert__"
    ended = Q(delivered_at__isnull=False) | Q(told_at__lte=Now() - CAP)
    rows = rows.filter(ended, received_at__gte=since, told_at__isnull=False)
    rows = rows.filter(**{f"{of}pattern__in": MEASURED, f"{of}drill": None})
    rows = rows.exclude(verdict__in=[Verdict.FALSE_POSITIVE, Verdict.RETRACTED])
    if of:
        return rows.select_related("alert").only(*_TIMES, "alert__pattern")
    return rows.only(*_TIMES, "pattern")


def point_of(row: Occurrence, onset_at: datetime, *, own: bool = False) -> Point:
    """Return the point of an occurrence from an onset on; with `own` also from the one that the detector gave."""
    alert = row if isinstance(row, Alert) else row.alert if isinstance(row, PastOccurrence) else None
    told_at, seen_at = row.delivered_at, row.acknowledged_at or row.resolved_at
    took = CAP if told_at is None else max(told_at - onset_at, timedelta())
    times = (onset_at, row.received_at, row.detected_at, row.alerted_at, row.first_attempt_at, told_at)
    return Point(
        pattern=alert.pattern if alert else "",
        severity=row.severity,
        alert_id=alert.pk if alert else None,
        onset_at=onset_at,
        to_told_s=min(took, CAP).total_seconds(),
        receipt_to_told_s=None if told_at is None else (told_at - row.received_at).total_seconds(),
        own_s=between(row.onset_at, told_at) if own else None,
        is_missed=took >= CAP,
        is_late=row.received_at - onset_at > OBJECTIVE,
        legs=tuple(between(first, then) for first, then in pairwise(times)),
        to_acknowledged_s=between(told_at, seen_at),
        to_resolved_s=between(told_at, row.resolved_at),
        is_waiting=seen_at is None,
        is_unresolved=row.resolved_at is None,
    )


def between(first: datetime | None, then: datetime | None) -> float | None:
    """Return the seconds from one time point to another, none where one is missing; two clocks give no less than 0."""
    return None if first is None or then is None else max((then - first).total_seconds(), 0.0)


def figures(of: Iterable[Point]) -> Figures:
    """Return n, mean, median, 95th percentile (nearest rank), maximum and misses, and the part that is ours."""
    some = list(of)
    if not some:
        return Figures(0)
    took = sorted(point.to_told_s for point in some)
    ours = in_order(point.receipt_to_told_s for point in some)
    own = in_order(point.own_s for point in some)
    return Figures(
        n=len(took),
        mean_s=round(sum(took) / len(took), 3),
        p50_s=percentile(took, 0.50),
        p95_s=percentile(took, 0.95),
        max_s=took[-1],
        misses=sum(point.is_missed for point in some),
        receipt_to_told_p50_s=percentile(ours, 0.50),
        receipt_to_told_p95_s=percentile(ours, 0.95),
        late=sum(point.is_late for point in some),
        own_p50_s=percentile(own, 0.50),
        own_p95_s=percentile(own, 0.95),
    )


def in_order(seconds: Iterable[float | None]) -> list[float]:
    """Return those that are known, the smallest first."""
    return sorted(each for each in seconds if each is not None)


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """Return the nearest rank: the smallest value that at least this share of all does not exceed."""
    return ordered[max(ceil(share * len(ordered)) - 1, 0)] if ordered else None


def by_pattern(of: Iterable[Point]) -> dict[str, list[Point]]:
    """Return the points of each of the six patterns and of budgets, those without any too."""
    return {pattern: [] for pattern in MEASURED} | grouped(of, lambda point: point.pattern)


def by_severity(of: Iterable[Point]) -> dict[str, list[Point]]:
    """Return the points of each severity that there is, the gravest first."""
    found = grouped(of, lambda point: point.severity)
    return {severity: found[severity] for severity in sorted(found, key=lambda one: -RANK.get(one, -1))}


def grouped(of: Iterable[Point], key: Callable[[Point], Key]) -> dict[Key, list[Point]]:
    """Return the points by a key, in the order in which keys come."""
    found: dict[Key, list[Point]] = {}
    for point in of:
        found.setdefault(key(point), []).append(point)
    return found


@dataclass(frozen=True)
class Uncounted:
    """Findings of which no figure knows: of imported runs; and older than the cap, but under no alert yet."""

    backfill: int
    unalerted: int


def uncounted(project: Project, since: datetime) -> Uncounted:
    """Count the findings that are in no figure of those received since a moment. One query."""
    waits = Q(fate=None, state=FindingState.OPEN, received_at__lte=Now() - CAP)
    stuck = waits & Q(backfill=False, shadow=False)
    rows = Finding.objects.of(project).filter(received_at__gte=since)
    sums = rows.aggregate(imported=Count("id", filter=Q(backfill=True)), stuck=Count("id", filter=stuck))
    return Uncounted(sums["imported"], sums["stuck"])
