"""Reads that the pages, the API and other rooms share; each says how many queries it costs."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Case, Count, Exists, OuterRef, Q, QuerySet, Value, When
from django.db.models.functions import Trunc
from django.http import HttpRequest

from agentops.accounts.models import Project
from traces.alerts.models import RANK, Alert, AlertFinding, AlertQuerySet, AlertState
from traces.alerts.silences import Silence, SilenceQuerySet
from traces.detectors.models import Finding
from traces.ids import trace_key
from traces.models import Trace
from traces.threads.models import kept_as


@dataclass(frozen=True)
class AlertFilters:
    """What a list of alerts is narrowed to; an empty one says nothing."""

    state: str = ""
    pattern: str = ""
    trace: str = ""  # an id of the wire, or the sender's own string
    unresolved: bool = False
    drill: bool | None = None  # only those of drills, or only the others


def open_count(request: HttpRequest) -> tuple[int, str, str] | None:
    """The number beside Alerts in the navigation: open ones that no silence covers. One query."""
    project = getattr(request, "project", None)
    count = Alert.objects.of(project).real().open().heard().count() if project is not None else 0
    return (count, "open", "bad") if count else None


def alerts(project: Project, filters: AlertFilters = AlertFilters()) -> AlertQuerySet:
    """Return the alerts of a project that fit, for a keyset page. One query."""
    rows = with_people(Alert.objects.of(project))
    if filters.unresolved:
        rows = rows.exclude(state=AlertState.RESOLVED)
    if filters.state:
        rows = rows.filter(state=filters.state)
    if filters.pattern:
        rows = rows.filter(pattern=filters.pattern)
    if filters.drill is not None:
        rows = rows.filter(drill__isnull=not filters.drill)
    if filters.trace:
        of_trace = AlertFinding.objects.filter(
            alert=OuterRef("pk"), finding__trace__trace_id=kept_as(project, trace_key(filters.trace)[0])
        )
        rows = rows.filter(Exists(of_trace))
    return rows


def counts(project: Project) -> list[dict[str, Any]]:
    """Return how many alerts there are of each state, pattern and severity. One query."""
    rows = Alert.objects.of(project).real().values("state", "pattern", "severity").annotate(n=Count("id"))
    return [dict(row) for row in rows]


def add_up(rows: Iterable[Mapping[str, Any]], by: str, **only: str) -> dict[str, int]:
    """Return the counts by one of their names, of those that fit."""
    sums: dict[str, int] = {}
    for row in rows:
        if all(row[name] == value for name, value in only.items()):
            sums[row[by]] = sums.get(row[by], 0) + row["n"]
    return sums


def needing_a_person(project: Project, limit: int) -> list[Alert]:
    """Return what is neither resolved nor silenced: what nobody has first, the gravest, the newest. One query."""
    rank = Case(*(When(severity=severity, then=Value(rank)) for severity, rank in RANK.items()))
    rows = with_people(Alert.objects.of(project).real().unresolved().heard()).annotate(rank=rank)
    return list(rows.order_by("-state", "-rank", "-received_at")[:limit])  # "open" comes after "acknowledged"


def findings_of(alert: Alert, limit: int) -> list[Finding]:
    """Return the newest findings of the occurrence under way, those that are no more after the others. One query."""
    links = AlertFinding.objects.filter(alert=alert, occurrence=alert.number)
    rows = Finding.objects.filter(pk__in=links.order_by("-finding").values("finding")[:limit])
    return list(rows.select_related("trace").order_by("state", "-id"))


def per_hour(project: Project, since: datetime, hours: int) -> dict[str, tuple[list[int], list[int]]]:
    """Return, by pattern, findings in each hour, and how many of them have an open alert. One query."""
    is_open = Q(fate__alert__state=AlertState.OPEN)
    rows = (
        Finding.objects.of(project)
        .open()
        .out_of_shadow()
        .filter(detected_at__gte=since, backfill=False, fate__alert__drill=None)
        .annotate(hour=Trunc("detected_at", "hour"))
        .values("pattern", "hour")
        .annotate(n=Count("id"), opened=Count("id", filter=is_open))
    )
    first = since.replace(minute=0, second=0, microsecond=0)
    found: dict[str, tuple[list[int], list[int]]] = {}
    for row in rows:
        totals, opened = found.setdefault(row["pattern"], ([0] * hours, [0] * hours))
        place = min(int((row["hour"] - first).total_seconds() // 3600), hours - 1)
        totals[place] += row["n"]
        opened[place] += row["opened"]
    return found


def with_people(rows: AlertQuerySet) -> AlertQuerySet:
    """Add what a row and the API show: its traces, who had it, and until when it is silenced."""
    return rows.with_silence().select_related("first_trace", "last_trace", "acknowledged_by", "resolved_by")


def with_stop(rows: AlertQuerySet) -> AlertQuerySet:
    """Add what the page of one alert shows beside: why its last run was stopped, and the drill that raised it."""
    return with_people(rows).select_related("last_trace__stop__by", "drill")


def findings(project: Project, trace: str = "") -> QuerySet[Finding]:
    """Return the findings of a project, or of one of its traces, for a keyset page. One query."""
    rows = Finding.objects.of(project).select_related("trace")
    return rows.filter(trace__trace_id=kept_as(project, trace_key(trace)[0])) if trace else rows


def with_pattern(rows: QuerySet[Trace], pattern: str) -> QuerySet[Trace]:
    """Keep the traces in which this pattern was found. No query of its own."""
    if not pattern:
        return rows
    return rows.filter(Exists(Finding.objects.open().out_of_shadow().filter(trace=OuterRef("pk"), pattern=pattern)))


def found_on(traces: Iterable[Trace], *, in_shadow: bool = False) -> Mapping[UUID, list[Finding]]:
    """Return the open findings of each trace of a page, in step order, with their alerts. One query.

    With `in_shadow` those on trial too.
    """
    some = Finding.objects.open()
    rows = (
        (some if in_shadow else some.out_of_shadow())
        .filter(trace__in=[trace.pk for trace in traces])
        .select_related("fate__alert")
        .order_by("onset_number", "id")
    )
    found: dict[UUID, list[Finding]] = defaultdict(list)
    for finding in rows:
        found[finding.trace_id].append(finding)
    return found


def patterns(found: Iterable[Finding]) -> list[str]:
    """Return the patterns of some findings, each once, in their order."""
    return list(dict.fromkeys(finding.pattern for finding in found))


def silences(project: Project) -> SilenceQuerySet:
    """Return the silences of a project with how much each held back. One query."""
    rows = Silence.objects.of(project).select_related("alert", "by", "ended_by")
    return rows.annotate(kept_back=Count("held"))
