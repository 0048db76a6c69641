"""Which part of the way costs how much: the legs from T0 to T7, and what people do after that."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from traces.alerts.mttd import Point, in_order, percentile

# T3, the commit, is written down nowhere: it is in the leg from receipt to detection.
LEGS = (
    ("T0", "T2", "onset to received"),
    ("T2", "T4", "received to detected"),
    ("T4", "T5", "detected to alerted"),
    ("T5", "T6", "alerted to first attempt"),
    ("T6", "T7", "first attempt to delivered"),
)
OURS = slice(1, None)  # the first leg is the sender's


@dataclass(frozen=True)
class Leg:
    """One leg of the way of some failures, of those that have both of its ends."""

    begins: str
    ends: str
    name: str
    n: int
    p50_s: float | None
    p95_s: float | None


@dataclass(frozen=True)
class Taken:
    """How long after they were told (T7) people did something about failures, and for how many they have not yet."""

    n: int
    p50_s: float | None
    p95_s: float | None
    waiting: int


def legs(of: Sequence[Point]) -> list[Leg]:
    """Return each leg with median and 95th percentile; those of the legs do not add up to those of the whole."""
    found = []
    for place, (begins, ends, name) in enumerate(LEGS):
        took = in_order(point.legs[place] for point in of if point.legs)
        found.append(Leg(begins, ends, name, len(took), percentile(took, 0.50), percentile(took, 0.95)))
    return found


def acknowledged(of: Iterable[Point]) -> Taken:
    """MTTA: T7 to T8. Who resolves without acknowledging first has seen it by then; what lapsed waits again."""
    return _taken(of, lambda point: point.to_acknowledged_s, lambda point: point.is_waiting)


def resolved(of: Iterable[Point]) -> Taken:
    """MTTR: T7 to T9."""
    return _taken(of, lambda point: point.to_resolved_s, lambda point: point.is_unresolved)


def _taken(of: Iterable[Point], seconds: Callable[[Point], float | None], is_waiting: Callable[[Point], bool]) -> Taken:
    some = list(of)
    took = in_order(map(seconds, some))
    return Taken(len(took), percentile(took, 0.50), percentile(took, 0.95), sum(map(is_waiting, some)))
