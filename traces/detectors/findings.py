"""From hits to findings: new ones, those that grew, and on a replay those that are none any more."""

from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID

from django.db.models import QuerySet

from traces.detectors.base import NOWHERE, Detector, Hit
from traces.detectors.models import Finding, FindingState
from traces.detectors.silence import HitKey, Said
from traces.models import Span, Trace

GROWS = ["severity", "state", "explanation", "next_step", "tool_name", "last_span_id", "last_number", "evidence",
         "shadow"]  # fmt: skip


def write_findings(trace: Trace, one: Detector, said: Said, *, is_replay: bool) -> list[UUID]:
    """Write what one detector said of a trace; return the ids of the findings that changed, but for those in shadow.

    What it took back, or on a replay did not say again, is retracted. One query, none for a detector with nothing to
    say outside a replay; up to three more where something changed.
    """
    hits, withdrawn = said.hits, said.withdrawn
    if not hits and not withdrawn and not is_replay:
        return []
    rows = Finding.objects.of(trace.project_id).filter(trace=trace, detector=one.key)
    known = {(finding.kind, finding.onset_span_id): finding for finding in rows}
    new = [key for key in hits if key not in known]
    grown = [known[key] for key, hit in hits.items() if key in known and _grow(known[key], one, hit)]
    gone = _retract(known, known.keys() - hits.keys() if is_replay else withdrawn)
    made = Finding.objects.bulk_create(_make(trace, one, [hits[key] for key in new]))
    Finding.objects.bulk_update([*grown, *gone], GROWS)
    return [finding.pk for finding in [*made, *grown, *gone] if not finding.shadow]


def _grow(finding: Finding, one: Detector, hit: Hit) -> bool:
    """Give a finding what its newest hit says; return whether that is news."""
    news = {
        "severity": str(hit.severity or one.severity),
        "state": FindingState.OPEN,
        "explanation": hit.say,
        "next_step": hit.next,
        "tool_name": hit.tool or "",
        "last_span_id": hit.last.span_id,
        "last_number": hit.last.number,
        "evidence": list(hit.evidence),
        "shadow": finding.shadow and one.is_shadow,  # of one that goes on after the trial people are told
    }
    changed = any(getattr(finding, name) != value for name, value in news.items())
    for name, value in news.items():
        setattr(finding, name, value)
    return changed


def _retract(known: dict[HitKey, Finding], keys: Iterable[HitKey]) -> list[Finding]:
    some = [known[key] for key in keys if key in known]
    gone = [finding for finding in some if finding.state == FindingState.OPEN]
    for finding in gone:
        finding.state = FindingState.RETRACTED
    return gone


def _make(trace: Trace, one: Detector, hits: list[Hit]) -> list[Finding]:
    if not hits:
        return []
    times = _times(trace, {ref.span_id for hit in hits for ref in (hit.onset, hit.last)})
    made = []
    for hit in hits:
        finding = Finding(
            project_id=trace.project_id,
            trace=trace,
            detector=one.key,
            pattern=one.pattern,
            kind=hit.kind,
            onset_span_id=hit.onset.span_id,
            onset_number=hit.onset.number,
            onset_at=times[hit.onset.span_id][0],
            received_at=datetime.fromtimestamp(hit.due_s, UTC) if hit.due_s else times[hit.last.span_id][1],
            backfill=trace.backfill,
            shadow=one.is_shadow,
        )
        _grow(finding, one, hit)
        made.append(finding)
    return made


def _times(trace: Trace, span_ids: set[str]) -> dict[str, tuple[datetime, datetime]]:
    """Return when spans started and were received; of a run without any, when the trace did."""
    rows: QuerySet[Span] = Span.objects.of(trace.project_id).filter(trace_day=trace.trace_day, trace_ref=trace)
    found = rows.filter(span_id__in=span_ids).values_list("span_id", "started_at", "received_at")
    times = {span_id: (started_at, received_at) for span_id, started_at, received_at in found}
    return {NOWHERE.span_id: (trace.started_at or trace.received_at, trace.last_received_at), **times}
