"""What the pages and the API say of the detectors of a project."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Count, QuerySet
from django.db.models.functions import Now
from django.http import Http404

from agentops.accounts.models import Project
from traces.alerts.precision import Precision, precision_by_detector
from traces.detectors.base import ALONE, CANDIDATE, Detector
from traces.detectors.limits import Limit, Number, limits, usable
from traces.detectors.models import DetectorSettings, Finding
from traces.detectors.registry import all_detectors
from traces.tuning.services import Wish, wish_of
from traces.tuning.trials import Backtest

LAST = timedelta(days=30)
LAST_BACKTESTS = 5


@dataclass(frozen=True)
class Threshold:
    """One threshold, as it is by default and in a project."""

    limit: Limit
    value: Number

    @property
    def here(self) -> str:
        return self.limit.said(self.value)

    @property
    def is_changed(self) -> bool:
        return self.value != self.limit.default


@dataclass(frozen=True)
class Tuned:
    """A detector as a project has it."""

    kind: type[Detector]
    wish: Wish
    findings: int  # open ones of the last thirty days
    in_shadow: int = 0  # findings on trial, of the same days
    precision: Precision | None = None  # by people's verdicts; None where nobody gave one

    @property
    def name(self) -> str:
        return self.kind.name()

    @property
    def summary(self) -> str:
        return self.kind.sections().get("", "")

    @property
    def parts(self) -> list[tuple[str, str]]:
        """The docstring's Definition, Input, Misses and Source."""
        return [(name, text) for name, text in self.kind.sections().items() if name]

    @property
    def kinds(self) -> list[tuple[str, bool]]:
        """Its kinds of findings, and of each whether it may raise an alert by itself."""
        return [(name, name not in ALONE) for name in self.kind.kinds]

    @property
    def thresholds(self) -> list[Threshold]:
        return thresholds(self.kind, self.wish)

    @property
    def changed(self) -> int:
        return sum(one.is_changed for one in self.thresholds)

    @property
    def mode(self) -> str:
        if not self.wish.enabled:
            return "off"
        return "shadow" if self.wish.shadow else "on"

    @property
    def candidate(self) -> list[Threshold] | None:
        """The thresholds on trial beside those in force that differ from them; None where none is."""
        if self.wish.candidate is None:
            return None
        now = {one.limit.name: one.value for one in self.thresholds}
        tried = thresholds(self.kind, Wish(self.wish.candidate))
        return [one for one in tried if one.value != now[one.limit.name]]


def thresholds(kind: type[Detector], wish: Wish) -> list[Threshold]:
    """Return the thresholds of a detector with what is wished for each."""
    here = usable(kind, wish.thresholds)
    return [Threshold(limit, here.get(limit.name, limit.default)) for limit in limits(kind)]


def tuned(project: Project) -> list[Tuned]:
    """Return all detectors as a project has them, by pattern. Four queries."""
    rows = {row.detector: row for row in DetectorSettings.objects.of(project)}
    found, judged = _counts(project), precision_by_detector(project)
    some = [
        Tuned(kind, wish_of(rows.get(kind.name())), *found(kind), judged.get(kind.name())) for kind in all_detectors()
    ]
    return sorted(some, key=lambda one: (one.kind.pattern, one.name))


def tuned_or_404(project: Project, name: str) -> Tuned:
    """Return one detector as a project has it. Four queries. Raises Http404."""
    kind = kind_or_404(name)
    row = DetectorSettings.objects.of(project).filter(detector=kind.name()).first()
    found, judged = _counts(project, kind.pattern), precision_by_detector(project)
    return Tuned(kind, wish_of(row), *found(kind), judged.get(kind.name()))


def kind_or_404(name: str) -> type[Detector]:
    kind = next((kind for kind in all_detectors() if kind.name() == name), None)
    if kind is None:
        raise Http404("Nothing is here.")
    return kind


def _counts(project: Project, pattern: str = "") -> Callable[[type[Detector]], tuple[int, int]]:
    """Count open findings of thirty days: of a detector those that count, and those in shadow. One query."""
    rows = Finding.objects.of(project).open().filter(detected_at__gte=Now() - LAST)
    if pattern:
        rows = rows.filter(pattern=pattern)
    sums: dict[tuple[str, bool], int] = defaultdict(int)
    for detector, shadow, n in rows.order_by().values_list("detector", "shadow").annotate(n=Count("id")):
        sums[detector.removesuffix(CANDIDATE), shadow] += n
    return lambda kind: (sums[kind.name(), False], sums[kind.name(), True])


def in_shadow(project: Project, detector: str = "") -> QuerySet[Finding]:
    """Return the open findings on trial, of one detector with its candidate, for a keyset page. One query."""
    rows = Finding.objects.of(project).open().filter(shadow=True).select_related("trace")
    return rows.filter(detector__in=[detector, detector + CANDIDATE]) if detector else rows


def last_backtests(project: Project, kind: type[Detector]) -> QuerySet[Backtest]:
    """Return the last backtests of a detector, newest first. One query."""
    rows = Backtest.objects.of(project).filter(detector=kind.name()).select_related("by")
    return rows.order_by("-created_at")[:LAST_BACKTESTS]
