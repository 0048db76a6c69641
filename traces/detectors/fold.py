"""Looking at the new steps of one trace: load, fold, write findings and state, all in the job's transaction."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import chain
from typing import Any, NamedTuple

import msgspec
from django.db import transaction

from traces.detectors import stored
from traces.detectors.base import CANDIDATE, Detector, Moment, Step
from traces.detectors.containing import contain
from traces.detectors.findings import write_findings
from traces.detectors.limits import usable
from traces.detectors.models import AlertJob
from traces.detectors.registry import all_detectors, decoder, fingerprint, mark
from traces.detectors.sessions import drop_said, open_session
from traces.detectors.signals import found
from traces.detectors.silence import Said, look_again_in, moment_of
from traces.detectors.steps import Key, StoredReader, key_of
from traces.detectors.stored import Kept, Saved, Setting, StoredStep
from traces.detectors.toolset import Offers
from traces.models import Trace

STATE_BYTES = 64 * 1024


class StateTooLargeError(Exception):
    """Raised for a detector whose state is not bounded: a fault of its code, which quarantines the job."""


def detect_trace(trace: Trace) -> timedelta | None:
    """Fold what is new in a trace, and return when to look again if nothing more comes; None for never.

    Runs inside the caller's transaction: five statements, one more for a run with calls of high risk, one where the
    project has a budget for sessions, a row for each new step, and three statements for a detector with hits; then one
    that asks what stops a run, and two more where something may. Steps that come late, and a detector whose code or
    thresholds are not those of its saved state, are folded anew from the first step.
    """
    saved = stored.saved_of(trace)
    plan = _plan(saved)
    moment = moment_of(trace) if any(watch.kind.listens() for watch in plan) else None
    states = {watch.key: _kept(saved, watch) for watch in plan}
    needs = frozenset().union(*(watch.kind.needs for watch in plan))
    new = stored.load(trace, needs, since=saved.arrivals)
    first = next(new, None)
    is_outdated = bool(saved.arrivals) and None in states.values()
    if first is None and not is_outdated and moment is None:
        return None
    if is_outdated or (first is not None and _is_late(saved, first)):
        saved.arrivals, saved.last_key, saved.toolsets = 0, None, {}
        detectors = [watch.begin() for watch in plan]
        _fold(trace, saved, detectors, stored.load(trace, needs), moment=moment, is_replay=True)
    else:
        detectors = [watch.begin(states[watch.key]) for watch in plan]
        rows = chain([first], new) if first is not None else ()
        _fold(trace, saved, detectors, rows, moment=moment, is_replay=False)
    return look_again_in(detectors, moment) if moment else None


class Watch(NamedTuple):
    """A detector as a project has it: with which thresholds, and whether on trial."""

    key: str
    kind: type[Detector]
    thresholds: dict[str, Any]
    is_shadow: bool

    def begin(self, state: Any = None) -> Detector:
        one = self.kind(state=state, **self.thresholds)
        one.key, one.is_shadow = self.key, self.is_shadow
        return one


def _plan(saved: Saved) -> list[Watch]:
    """Return what looks at the trace: the detectors that are on, and candidates beside them."""
    plan = []
    for kind in all_detectors():
        setting = saved.settings.get(kind.name(), Setting())
        if setting.enabled:
            plan.append(Watch(kind.name(), kind, usable(kind, setting.thresholds), setting.shadow))
        if setting.candidate is not None:
            plan.append(Watch(kind.name() + CANDIDATE, kind, usable(kind, setting.candidate), is_shadow=True))
    return plan


def _kept(saved: Saved, watch: Watch) -> Any:
    """Return what a detector remembers of the trace; None when it must start anew."""
    kept = saved.states.get(watch.key)
    if kept is None or kept.fingerprint != fingerprint(watch.kind, watch.thresholds):
        return None
    return decoder(watch.kind.State).decode(kept.state)


def _is_late(saved: Saved, first: StoredStep) -> bool:
    return saved.last_key is not None and key_of(first) <= _key_from_json(saved.last_key)


def _fold(
    trace: Trace,
    saved: Saved,
    detectors: list[Detector],
    rows: Iterable[StoredStep],
    *,
    moment: Moment | None,
    is_replay: bool,
) -> None:
    said = {one.key: Said(saved.states.get(one.key)) for one in detectors}
    open_session(trace, detectors)
    for step in _read(trace, saved, detectors, rows):
        for one in detectors:
            for hit in one.see(step):
                said[one.key].hits[hit.kind, hit.onset.span_id] = hit
    if moment is not None:
        for one in detectors:
            said[one.key].ask(one, moment)
    for one in detectors:
        drop_said(trace, one, said[one.key].hits)
    _remember(saved, detectors, said)
    stored.save(trace, saved)
    changed = [
        finding for one in detectors for finding in write_findings(trace, one, said[one.key], is_replay=is_replay)
    ]
    jobs = AlertJob.objects.touch(AlertJob(finding_id=finding) for finding in changed)
    if jobs:
        transaction.on_commit(lambda: found.send(AlertJob, job_ids=jobs), robust=True)
    contain(trace, changed)


def _read(trace: Trace, saved: Saved, detectors: list[Detector], rows: Iterable[StoredStep]) -> Iterator[Step]:
    """Yield the steps, and note in the saved state how far they go."""
    needs = frozenset().union(*(one.needs for one in detectors))
    number = saved.last_key[4] if saved.last_key else 0
    reader = StoredReader(trace=trace, offers=Offers(saved.toolsets), needs=needs, number=number)
    last: StoredStep | None = None
    for row, step in reader.read(rows):
        saved.arrivals = max(saved.arrivals, row.arrival + 1)
        last = row
        yield step
    if last is not None:
        saved.last_key = [*_key_to_json(key_of(last)), reader.number]
    saved.toolsets = reader.offers.in_force


def _remember(saved: Saved, detectors: list[Detector], said: dict[str, Said]) -> None:
    saved.states, saved.coverage = {}, {}
    for one in detectors:
        state = msgspec.json.encode(one.state)
        if len(state) > STATE_BYTES:
            raise StateTooLargeError(f"{one.key} keeps more than {STATE_BYTES} bytes of a trace.")
        kept = Kept(fingerprint=mark(type(one), one.thresholds), state=msgspec.Raw(state))
        kept.absent = said[one.key].absent
        saved.states[one.key] = kept
        saved.coverage[one.key] = list(one.coverage())


def _key_to_json(key: Key) -> list[Any]:
    place, started_at, end, span_id = key
    return [place, started_at.isoformat(), end.isoformat(), span_id]


def _key_from_json(saved: list[Any]) -> Key:
    place, started_at, end, span_id = saved[:4]
    return place, datetime.fromisoformat(started_at), datetime.fromisoformat(end), span_id
