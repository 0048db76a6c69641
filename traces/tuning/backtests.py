"""Backtests: asked for, worked on a little at a time behind whatever is live, cancelled, forgotten."""

import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import Error, IntegrityError, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest

from agentops.accounts.models import Project, User
from agentops.audit import services as audit
from agentops.jobs.errors import describe, storable
from agentops.jobs.wake import wake
from agentops.web.keyset import behind, cursor_of
from traces.detectors.base import Detector, Hit
from traces.detectors.limits import checked, usable
from traces.detectors.models import DetectorSettings
from traces.detectors.registry import all_detectors
from traces.detectors.replay import replay
from traces.models import DetectJob, Trace
from traces.tuning.trials import KEPT, LONGEST, Backtest, BacktestJob, BacktestState, Change, Difference

SINCE = timedelta(days=30)
MOST_TRACES = 5_000
MOST_STEPS = 20_000  # of one trace; a longer one is skipped, and counted
MOST_COUNTED = 100_000
LISTED = 100  # differences of each sort that are kept
AT_ONCE = 20  # traces in memory
WORK_S = 0.5  # then others have their turn
PAUSE = timedelta(seconds=0.2)
LIVE_LATE_S = 1.0  # while a live trace waits for longer, a backtest waits


class UnderWayError(Exception):
    """Another backtest of the project has not ended."""


@transaction.atomic
def start(
    project: Project,
    kind: type[Detector],
    thresholds: Mapping[str, Any],
    *,
    by: User,
    request: HttpRequest | None = None,
) -> Backtest:
    """Ask for a comparison of these thresholds with those in force. Raises ThresholdError and UnderWayError."""
    row = DetectorSettings.objects.of(project).filter(detector=kind.name()).first()
    against = usable(kind, row.thresholds) if row else {}
    try:
        with transaction.atomic():
            made = Backtest.objects.create(
                project=project, detector=kind.name(), thresholds=checked(kind, thresholds), against=against, by=by
            )
    except IntegrityError:
        raise UnderWayError("Another backtest of this project is under way: wait for its end, or cancel it.") from None
    jobs = BacktestJob.objects.touch([BacktestJob(backtest=made)])
    transaction.on_commit(lambda: wake(BacktestJob.kind, jobs), robust=True)
    audit.record("backtest.started", actor=by, project=project, target=made, request=request)
    return made


@transaction.atomic
def cancel(backtest: Backtest, *, by: User, request: HttpRequest | None = None) -> bool:
    """End it; return whether it was under way. What was found until then stays listed."""
    if not _end(Backtest.objects.filter(pk=backtest.pk), BacktestState.CANCELLED):
        return False
    audit.record("backtest.cancelled", actor=by, project=backtest.project_id, target=backtest, request=request)
    return True


def go_on(backtest_id: UUID) -> timedelta | None:
    """Examine traces for half a second; return when to go on, None once it has ended.

    Progress is saved where nobody else made any meanwhile, so that two at a time count no trace twice.
    """
    row = Backtest.objects.under_way().filter(pk=backtest_id).select_related("project").first()
    if row is None:
        return None
    if DetectJob.objects.due(overdue_s=LIVE_LATE_S).exists():
        return PAUSE
    try:
        return PAUSE if _work(row) else None
    except Error:
        raise  # the database is away: the job is tried again
    except Exception as error:
        _end(Backtest.objects.filter(pk=row.pk), BacktestState.FAILED, storable(describe(error)))
        return None


def forget_old() -> None:
    """Remove those that are a week old, and give up those that never end. Two statements."""
    Backtest.objects.filter(created_at__lt=Now() - KEPT).delete()
    endless = Backtest.objects.filter(created_at__lt=Now() - LONGEST)
    _end(endless, BacktestState.FAILED, "It had not ended within an hour. Look at the workers, then start it again.")


def _work(row: Backtest) -> bool:
    """Examine some traces and save what came of it; return whether there are more."""
    if row.state == BacktestState.QUEUED:
        _begin(row)
    kind = next(kind for kind in all_detectors() if kind.name() == row.detector)
    before, end = row.examined, time.monotonic() + WORK_S
    found: list[Difference] = []
    for trace in _next(row):
        found += _compare(row, kind, trace)
        row.examined += 1
        row.after = cursor_of(trace)
        if time.monotonic() >= end:
            break
    return _save(row, before, found)


def _next(row: Backtest) -> Iterator[Trace]:
    """Yield the traces that are left, a few in memory at a time."""
    while row.examined < row.total:
        some = list(behind(_traces(row), row.after)[: min(AT_ONCE, row.total - row.examined)])
        if not some:
            row.total = row.examined  # the rest was removed meanwhile
        yield from some


def _begin(row: Backtest) -> None:
    Backtest.objects.filter(pk=row.pk, until=None).update(until=Now())
    row.refresh_from_db(fields=["until"])
    row.there = len(_traces(row).values_list("pk")[: MOST_COUNTED + 1])
    row.total = min(row.there, MOST_TRACES)


def _traces(row: Backtest) -> QuerySet[Trace]:
    return Trace.objects.of(row.project_id).filter(received_at__lte=row.until, received_at__gt=row.created_at - SINCE)


def _compare(row: Backtest, kind: type[Detector], trace: Trace) -> list[Difference]:
    """Count what differs in one trace, and return what is to be listed of it."""
    if trace.steps > MOST_STEPS:
        row.skipped += 1
        return []
    now, then = replay(trace, [kind(**usable(kind, row.against)), kind(**usable(kind, row.thresholds))])
    found = []
    for key in {**now, **then}:
        change = Change.UNCHANGED if key in now and key in then else Change.APPEARED if key in then else Change.VANISHED
        count = getattr(row, change) + 1
        setattr(row, change, count)
        if count <= LISTED:
            found.append(_difference(row, trace, change, then.get(key) or now[key], kind))
    return found


def _difference(row: Backtest, trace: Trace, change: Change, hit: Hit, kind: type[Detector]) -> Difference:
    return Difference(
        backtest=row,
        trace=trace,
        change=change,
        kind=hit.kind,
        severity=str(hit.severity or kind.severity),
        explanation=hit.say,
        onset_span_id=hit.onset.span_id,
        onset_number=hit.onset.number,
    )


def _save(row: Backtest, before: int, found: list[Difference]) -> bool:
    """Save progress unless it ended, or somebody else went on, meanwhile; return whether there is more to do."""
    names = ("there", "total", "examined", "skipped", "after", "appeared", "vanished", "unchanged")
    held = Backtest.objects.under_way().filter(pk=row.pk, examined=before)
    with transaction.atomic():
        if not held.update(state=BacktestState.RUNNING, **{name: getattr(row, name) for name in names}):
            return Backtest.objects.under_way().filter(pk=row.pk).exists()
        Difference.objects.bulk_create(found)
        if row.examined < row.total:
            return True
        _end(Backtest.objects.filter(pk=row.pk), BacktestState.DONE)
        return False


def _end(rows: QuerySet[Backtest], state: BacktestState, error: str = "") -> int:
    under_way = rows.filter(state__in=[BacktestState.QUEUED, BacktestState.RUNNING])
    return under_way.update(state=state, error=error, ended_at=Now())
