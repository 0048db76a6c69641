"""Why there is an alert, or none: the rule, what could be judged, the grouping, silences and every message."""

from dataclasses import dataclass
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from agentops.accounts.request import ProjectRequest
from agentops.accounts.scoped import get_scoped_or_404
from agentops.notify import routing
from agentops.notify.models import Channel, Delivery
from agentops.notify.queries import deliveries_and_tries
from traces import queries as trace_queries
from traces.alerts import evidence, queries
from traces.alerts.models import Alert, AlertFinding, Fate
from traces.alerts.silences import Silence
from traces.alerts.telling import News, message_of
from traces.detectors.base import Detector
from traces.detectors.models import DetectorState, Finding, FindingState
from traces.detectors.registry import all_detectors

HELD, FINDINGS = 20, 50
WORDS = {
    Fate.BACKFILL: "no alert: it came with an import, of which nobody is told",
    Fate.ALONE: "no alert: findings of this kind raise none by themselves",
    Fate.RETRACTED: "no alert: it was taken back before anybody was told",
}


@dataclass(frozen=True)
class Judged:
    """What one detector made of a trace."""

    kind: type[Detector]
    findings: int
    reasons: list[str]  # why it could not judge all of it

    @property
    def parts(self) -> list[tuple[str, str]]:
        return evidence.decides(self.kind)


@require_GET
def alert_why(request: ProjectRequest, alert_id: UUID) -> HttpResponse:
    """Explain one alert, from the rule to each message. Eight queries, nine where channels have routes."""
    alert = get_scoped_or_404(queries.with_people(Alert.objects.all()), request.project, pk=alert_id)
    finding = next(iter(queries.findings_of(alert, 1)), None)
    kind = evidence.detector_of(finding) if finding else None
    channels = list(Channel.objects.of(alert.project_id).for_people().order_by("name"))
    takers = routing.takers(channels, message_of(alert, News.OPENED))
    held = list(alert.held.select_related("silence").order_by("-id")[:HELD])
    context = {
        "alert": alert,
        "finding": finding,
        "kind": kind,
        "decides": evidence.decides(kind) if kind else [],
        "unjudged": evidence.unjudged(finding.trace) if finding else [],
        "silence": Silence.objects.of_alert(alert).first(),
        "held": held,
        "channels": [(channel, channel in takers) for channel in channels],
        "deliveries": _messages(alert, [one.told_key for one in held]),
    }
    return render(request, "alerts/why.html", context)


def _messages(alert: Alert, more_keys: list[str]) -> list[Delivery]:
    """Return every message about the occurrence under way, to each channel, with its attempts. Two queries."""
    stem = f"alert:{alert.pk}:{alert.number}"
    lapsed = [f"{stem}:{News.LAPSED.value}:{n}" for n in range(1, alert.lapses + 1)]
    keys = {alert.told_key, *more_keys, *lapsed, *(f"{stem}:{news.value}" for news in News)} - {""}
    return deliveries_and_tries(alert.project_id, keys)


@require_GET
def trace_why(request: ProjectRequest, trace_id: str) -> HttpResponse:
    """Explain what became of each finding of a trace, and what each detector saw of it. Three queries."""
    trace = trace_queries.trace_or_404(request.project, trace_id)
    found = list(
        Finding.objects.filter(trace=trace).select_related("fate__alert").order_by("onset_number", "id")[:FINDINGS]
    )
    state = DetectorState.objects.filter(trace=trace).first()
    context = {
        "trace": trace,
        "fates": [(finding, _fate(finding)) for finding in found],
        "is_read": state is not None,
        "judged": _judged(found, state),
    }
    return render(request, "alerts/trace_why.html", context)


def _fate(finding: Finding) -> AlertFinding | str:
    """Return how it was counted, or in words why it was not."""
    if finding.shadow:
        return "no alert: it was found in shadow, of which nobody is told"
    known: AlertFinding | None = getattr(finding, "fate", None)
    if known is None:
        return "its alert comes in a moment"
    return known if known.alert is not None else WORDS[Fate(known.fate)]


def _judged(found: list[Finding], state: DetectorState | None) -> list[Judged]:
    coverage = state.coverage if state else {}
    still = [finding.detector for finding in found if finding.state == FindingState.OPEN]
    rows = [Judged(kind, still.count(kind.name()), coverage.get(kind.name(), [])) for kind in all_detectors()]
    return sorted(rows, key=lambda row: (row.kind.pattern, row.kind.name()))
