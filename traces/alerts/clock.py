"""The clock of an alert: its time points from the onset to the end, as the page draws them."""

from dataclasses import dataclass
from datetime import datetime

from agentops.web import numbers
from traces.alerts.models import Alert, AlertState

POINTS = (
    ("T0", "onset", "onset_at"),
    ("T2", "received", "received_at"),
    ("T4", "detected", "detected_at"),
    ("T5", "alerted", "alerted_at"),
    ("T6", "first attempt", "first_attempt_at"),
    ("T7", "delivered", "delivered_at"),
    ("T8", "acknowledged", "acknowledged_at"),
    ("T9", "resolved", "resolved_at"),
)
NOBODY_YET = {"T6": "not yet", "T7": "not yet", "T8": "nobody yet", "T9": ""}


@dataclass(frozen=True)
class Tick:
    """One point and the leg that leads from it to the next. `waits` marks the leg on which time passes now."""

    name: str
    word: str
    at: datetime | None
    shown: str
    leg: str
    waits: bool = False

    @property
    def state(self) -> str:
        return "future" if self.at is None else "onset" if self.name == "T0" else "reached"


def ticks(alert: Alert) -> list[Tick]:
    """Return the points in order. Of those that are still to come, the first is what the clock waits for."""
    times: list[datetime | None] = [getattr(alert, field) for _, _, field in POINTS]
    reached = [place for place, at in enumerate(times) if at is not None]
    waits_at = reached[-1] if alert.state == AlertState.OPEN else None
    found = []
    for place, (name, word, _) in enumerate(POINTS):
        at, following = times[place], times[place + 1] if place + 1 < len(times) else None
        leg = numbers.duration(max((following - at).total_seconds(), 0.0)) if at and following else ""
        found.append(Tick(name, word, at, _shown(alert, name, at), leg, waits=place == waits_at))
    return found


def _shown(alert: Alert, name: str, at: datetime | None) -> str:
    if at is None:
        return "not acknowledged" if name == "T8" and alert.resolved_at else NOBODY_YET[name]
    if at.date() != alert.alerted_at.date():
        return f"{at.day} {at:%b %H:%M:%S}"
    return f"{at:%H:%M:%S}.{at.microsecond // 10_000:02}"
