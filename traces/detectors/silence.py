"""What the absence of steps means: when detectors are asked, and what becomes of an answer that holds no more."""

from datetime import timedelta

import msgspec
from django.db import connection

from traces.detectors import stored
from traces.detectors.base import SETTLE_S, Detector, Hit, Moment
from traces.models import Trace

SOONEST_S = 1.0  # between two looks at one trace, whatever a detector asks for

HitKey = tuple[str, str]  # kind and onset span
# In plain SQL, as in stored.py.
_MOMENT = """
SELECT now(), coalesce(closed_at, closes_at, last_received_at), root_ended_at, last_received_at, status, steps, spans,
    status <> 'running' AND closes_at IS NOT NULL AND root_ended_at IS NULL
FROM traces_trace WHERE id = %s
"""


class Said:
    """The hits of one detector in one look at a trace, and those of silence that it takes back.

    A hit that silence gave stands while each look repeats it; once `see` says the same it stands by itself.
    """

    def __init__(self, kept: stored.Kept | None) -> None:
        self.hits: dict[HitKey, Hit] = {}
        self._before = set(kept.absent) if kept else set()
        self._absent: set[HitKey] = set()

    def ask(self, one: Detector, moment: Moment) -> None:
        """Add what silence means now to what was seen."""
        for hit in one.silent(moment) if one.listens() else ():
            key = hit.kind, hit.onset.span_id
            if key not in self.hits or key in self._absent:
                self._absent.add(key)
                self.hits[key] = hit

    @property
    def withdrawn(self) -> set[HitKey]:
        return self._before - self.hits.keys()

    @property
    def absent(self) -> list[HitKey]:
        """The hits that stand because of a silence."""
        return sorted(self._absent)


def moment_of(trace: Trace) -> Moment:
    """Return how a trace stands, by the database's clock.

    One query, and one more for a trace of spans without a step, or once the root has ended and the trace has settled.
    """
    with connection.cursor() as cursor:
        cursor.execute(_MOMENT, [trace.pk])
        at, closed_at, root_ended_at, received_at, status, steps, spans, is_abandoned = cursor.fetchone()
    moment = Moment(
        at_s=at.timestamp(),
        status=status,
        received_s=received_at.timestamp(),
        settles_s=closed_at.timestamp() + SETTLE_S,
        root_ended_s=root_ended_at.timestamp() if root_ended_at else None,
        steps=steps,
        spans=spans,
        is_abandoned=is_abandoned,
        is_live=not trace.backfill,
    )
    if spans and not steps:
        return msgspec.structs.replace(moment, names_agent=stored.names_agent(trace))
    if moment.is_settled and root_ended_at:
        return msgspec.structs.replace(moment, lost_parents=stored.lost_parents(trace))
    return moment


def look_again_in(detectors: list[Detector], moment: Moment) -> timedelta | None:
    """Return when the first of the detectors wants to be asked again, at the soonest in SOONEST_S."""
    wanted = [one.look_again_s(moment) for one in detectors if one.listens()]
    times = [at_s for at_s in wanted if at_s is not None]
    return timedelta(seconds=max(min(times) - moment.at_s, SOONEST_S)) if times else None
