"""How often each detector is right, by people's verdicts; one that is wrong too often is demoted for a while."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from math import sqrt
from uuid import UUID

from django.db import transaction
from django.db.models import Count, DateTimeField, F, Max, OuterRef, Q, Subquery, Value
from django.db.models.functions import Greatest, Now
from django.http import HttpRequest
from django.urls import reverse

from agentops.accounts.models import Project, User
from agentops.audit import services as audit
from agentops.audit.ref import SYSTEM
from agentops.notify.message import Message
from agentops.notify.services import notify
from traces.alerts import patterns
from traces.alerts.models import Alert, AlertFinding, Verdict
from traces.alerts.verdicts import Demotion, DetectorVerdict
from traces.detectors.registry import all_detectors

COUNTED = timedelta(days=90)  # what people said before that is of a detector, and of agents, that are no more
ENOUGH = 50  # verdicts before anything is concluded
LEAST = 0.8
Z = 1.96  # a normal variable lies within so many standard deviations in 95 of 100 cases
DEMOTED_TO = "low"


@dataclass(frozen=True)
class Precision:
    """The share of a detector's alerts that were true, of those that people judged; drills are not counted."""

    detector: str
    n: int
    right: int
    demotion: Demotion | None = None

    @property
    def share(self) -> float | None:
        return self.right / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the share (Wilson 1927), which also holds for few verdicts; None without any."""
        if not self.n:
            return None
        share, spread = self.right / self.n, Z * Z / self.n
        middle = (share + spread / 2) / (1 + spread)
        half = Z * sqrt(share * (1 - share) / self.n + spread / (4 * self.n)) / (1 + spread)
        return max(middle - half, 0.0), min(middle + half, 1.0)

    @property
    def low(self) -> float | None:
        return self.interval[0] if self.interval else None

    @property
    def high(self) -> float | None:
        return self.interval[1] if self.interval else None

    @property
    def is_too_low(self) -> bool:
        return self.n >= ENOUGH and self.right < LEAST * self.n


def precision_by_detector(project: Project | UUID) -> dict[str, Precision]:
    """Return the precision of each detector that was judged in the last 90 days, or is demoted. Two queries.

    After a person lifted a demotion, only what was said since then counts. A detector that is missing was not judged.
    """
    demoted = {row.detector: row for row in Demotion.objects.of(project).in_force()}
    counted = _counts(project)
    names = sorted({*counted, *demoted})
    return {name: Precision(name, *counted.get(name, (0, 0)), demoted.get(name)) for name in names}


def _counts(project: Project | UUID) -> dict[str, tuple[int, int]]:
    """Return verdicts, and those that said true, by detector. One query."""
    # Greatest of Postgres leaves nulls out: where nobody lifted anything the window alone counts.
    lifted = Demotion.objects.of(project).filter(detector=OuterRef("detector"), lifted_by__isnull=False)
    last = lifted.values("detector").annotate(at=Max("lifted_at")).values("at")
    begins = Greatest(Now() - Value(COUNTED), Subquery(last), output_field=DateTimeField())
    rows = DetectorVerdict.objects.of(project).filter(at__gt=Now() - COUNTED).annotate(begins=begins)
    counts = rows.filter(at__gt=F("begins")).values("detector").order_by("detector")
    sums = counts.annotate(n=Count("id"), right=Count("id", filter=Q(is_true=True)))
    return {name: (n, right) for name, n, right in sums.values_list("detector", "n", "right")}


def standing(project: Project) -> list[tuple[str, Precision]]:
    """Return pattern and precision of every detector, those nobody judged too, by pattern. Two queries."""
    known = precision_by_detector(project)
    order = {pattern: place for place, pattern in enumerate(patterns.ALL)}
    kinds = sorted(all_detectors(), key=lambda kind: (order[kind.pattern], kind.name()))
    return [(kind.pattern, known.get(kind.name()) or Precision(kind.name(), 0, 0)) for kind in kinds]


def demoted(project: Project | UUID) -> frozenset[str]:
    """Return the detectors whose findings are of low severity now. One query."""
    return frozenset(Demotion.objects.of(project).in_force().values_list("detector", flat=True))


def demotion_of(alert: Alert, detectors: Iterable[str]) -> Demotion | None:
    """Return the demotion of one of these detectors that was in force when the alert was raised. One query."""
    if alert.drill_id is not None:
        return None
    rows = Demotion.objects.of(alert.project_id).filter(detector__in=set(detectors), demoted_at__lte=alert.alerted_at)
    return rows.filter(Q(lifted_at=None) | Q(lifted_at__gt=alert.alerted_at)).order_by("-demoted_at").first()


@transaction.atomic
def note_verdict(alert: Alert, verdict: Verdict) -> None:
    """Count a person's verdict for the detectors that had found it, and demote or restore them. Four queries.

    Call it in the transaction that resolves the alert, before the audit trail is locked. A drill proves nothing of a
    detector's precision.
    """
    if alert.drill_id is not None:
        return
    links = AlertFinding.objects.filter(alert=alert, occurrence=alert.number, is_retracted=False)
    names = list(links.values_list("finding__detector", flat=True).distinct().order_by("finding__detector"))
    if not names:
        return  # of the system's own
    # Two verdicts at once are counted one after the other, or neither would see the fiftieth.
    Project.objects.select_for_update(no_key=True).get(pk=alert.project_id)
    DetectorVerdict.objects.bulk_create(
        DetectorVerdict(
            project_id=alert.project_id,
            alert=alert,
            occurrence=alert.number,
            detector=name,
            is_true=verdict is Verdict.TRUE_POSITIVE,
        )
        for name in names
    )
    known = precision_by_detector(alert.project_id)
    concluded = [(known[name], _conclude(alert.project_id, known[name])) for name in names]
    for one, (action, demotion) in ((one, done) for one, done in concluded if done):
        audit.record(action, actor=SYSTEM, project=alert.project_id, target=demotion, detail=_figures(one))


def _conclude(project_id: UUID, known: Precision) -> tuple[str, Demotion] | None:
    """Demote a detector, or restore it; return what the audit trail is told."""
    if known.demotion is None and known.is_too_low:
        made = Demotion.objects.create(
            project_id=project_id, detector=known.detector, verdicts=known.n, right=known.right
        )
        _tell(made, "demoted", f"{made}: its alerts are of low severity from now on")
        return "detector.demoted", made
    if known.demotion is not None and known.n >= ENOUGH and not known.is_too_low:
        Demotion.objects.filter(pk=known.demotion.pk, lifted_at=None).update(lifted_at=Now())
        _tell(known.demotion, "restored", f"{known.detector} is right again, in {known.right} of {known.n} verdicts")
        return "detector.restored", known.demotion
    return None


def _figures(known: Precision) -> dict[str, int]:
    return {"verdicts": known.n, "right": known.right}


def _tell(demotion: Demotion, what: str, title: str) -> None:
    body = (
        f"Less than {LEAST:.0%} of at least {ENOUGH} verdicts said true. What it finds waits for the hourly digest,"
        " until it is right again or somebody lifts this on the page of the time to detect."
        if what == "demoted"
        else "What it finds has its own severity again."
    )
    pattern = next((kind.pattern for kind in all_detectors() if kind.name() == demotion.detector), "")
    message = Message(
        kind=f"detector.{what}",
        id=f"detector:{demotion.project_id}:{demotion.detector}",
        title=title,
        body=body,
        severity="medium" if what == "demoted" else "low",
        url=f"{reverse('alerts:mttd')}#precision",
        about=((pattern, ""),) if pattern else (),
    )
    notify(demotion.project_id, message, key=f"detector:{demotion.pk}:{what}")


@transaction.atomic
def lift(demotion: Demotion, *, by: User, request: HttpRequest | None = None) -> bool:
    """Give a detector's findings their own severity again, and count verdicts anew. Return whether it was demoted."""
    rows = Demotion.objects.in_force().filter(pk=demotion.pk)
    if not rows.update(lifted_at=Now(), lifted_by=by):
        return False
    audit.record("detector.demotion_lifted", actor=by, project=demotion.project_id, target=demotion, request=request)
    return True
