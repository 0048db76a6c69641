"""Looking at the new steps of one trace: load, fold, write findings and state, all in the job's transaction."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django.db import transaction
from django.db.models import QuerySet

from traces.detectors.base import Detector
from traces.detectors.findings import Hits, write_findings
from traces.detectors.models import AlertJob, DetectorSettings, DetectorState
from traces.detectors.registry import all_detectors, fingerprint
from traces.detectors.signals import found
from traces.detectors.steps import Key, Reader, key_of, load
from traces.models import Span, Trace
from traces.queries import in_step_order

STATE_BYTES = 64 * 1024


class StateTooLargeError(Exception):
    """Raised for a detector whose state is not bounded: a fault of its code, which quarantines the job."""


def detect_trace(trace: Trace) -> list[UUID]:
    """Fold what is new in a trace; return the ids of the alert jobs. Runs inside the caller's transaction.

    Five statements and one row for each new step. Steps that come late, and a detector whose code or thresholds are
    not those of its saved state, are folded anew from the first step.
    """
    saved = DetectorState.objects.filter(pk=trace.pk).first() or DetectorState(trace=trace)
    detectors, outdated = _revive(trace, saved)
    needs = frozenset().union(*(one.needs for one in detectors)) if detectors else frozenset()
    rows = in_step_order(trace)
    fresh = list(load(rows.filter(arrival__gte=saved.arrivals), needs))
    if not fresh and not outdated:
        return []
    if _is_late(saved, fresh) or outdated:
        saved.arrivals, saved.last_key, saved.toolset = 0, None, None
        detectors = [type(one)(**_overrides(trace).get(one.name(), {})) for one in detectors]
        return _fold(trace, saved, detectors, load(rows, needs), is_replay=True)
    return _fold(trace, saved, detectors, fresh, is_replay=False)


def _revive(trace: Trace, saved: DetectorState) -> tuple[list[Detector], bool]:
    """Return the detectors with their saved states, and whether one of them must start anew."""
    overrides, off = _overrides(trace), set(_switched_off(trace))
    revived: list[Detector] = []
    outdated = False
    for kind in all_detectors():
        if kind.name() in off:
            continue
        thresholds = overrides.get(kind.name(), {})
        kept = saved.states.get(kind.name())
        is_current = kept is not None and kept["fingerprint"] == fingerprint(kind, thresholds)
        outdated |= bool(saved.arrivals) and not is_current
        state = msgspec.convert(kept["state"], kind.State) if is_current and kept else None
        revived.append(kind(state=state, **thresholds))
    return revived, outdated


def _overrides(trace: Trace) -> dict[str, dict[str, Any]]:
    rows = DetectorSettings.objects.of(trace.project_id).values_list("detector", "thresholds")
    return dict(rows)


def _switched_off(trace: Trace) -> QuerySet[DetectorSettings, Any]:
    return DetectorSettings.objects.of(trace.project_id).filter(enabled=False).values_list("detector", flat=True)


def _is_late(saved: DetectorState, fresh: list[Span]) -> bool:
    return saved.last_key is not None and bool(fresh) and key_of(fresh[0]) <= _key_from_json(saved.last_key)


def _fold(
    trace: Trace, saved: DetectorState, detectors: list[Detector], spans: Iterable[Span], *, is_replay: bool
) -> list[UUID]:
    needs = frozenset().union(*(one.needs for one in detectors)) if detectors else frozenset()
    number = saved.last_key[4] if saved.last_key else 0
    reader = Reader(number=number, toolset=saved.toolset, needs=needs)
    hits: dict[str, Hits] = {one.name(): {} for one in detectors}
    last: Span | None = None
    for span, step in reader.read(spans):
        saved.arrivals = max(saved.arrivals, span.arrival + 1)
        last = span
        for one in detectors:
            for hit in one.see(step):
                hits[one.name()][hit.kind, hit.onset.span_id] = hit
    if last is not None:
        saved.last_key = [*_key_to_json(key_of(last)), reader.number]
    saved.toolset = reader.toolset
    _remember(saved, detectors, trace)
    saved.save()
    changed = [
        finding for one in detectors for finding in write_findings(trace, one, hits[one.name()], is_replay=is_replay)
    ]
    jobs = AlertJob.objects.touch(AlertJob(finding_id=finding) for finding in changed)
    if jobs:
        transaction.on_commit(lambda: found.send(AlertJob, job_ids=jobs), robust=True)
    return jobs


def _remember(saved: DetectorState, detectors: list[Detector], trace: Trace) -> None:
    overrides = _overrides(trace)
    saved.states, saved.coverage = {}, {}
    for one in detectors:
        state = msgspec.to_builtins(one.state)
        if len(msgspec.json.encode(state)) > STATE_BYTES:
            raise StateTooLargeError(f"{one.name()} keeps more than {STATE_BYTES} bytes of a trace.")
        print_of_code = fingerprint(type(one), overrides.get(one.name(), {}))
        saved.states[one.name()] = {"fingerprint": print_of_code, "state": state}
        saved.coverage[one.name()] = list(one.coverage())


def _key_to_json(key: Key) -> list[Any]:
    place, started_at, end, span_id = key
    return [place, started_at.isoformat(), end.isoformat(), span_id]


def _key_from_json(saved: list[Any]) -> Key:
    place, started_at, end, span_id = saved[:4]
    return place, datetime.fromisoformat(started_at), datetime.fromisoformat(end), span_id
