"""The life of an alert: every change of its state is made here, and nowhere else.

    open → acknowledged            a person takes it on, for a while
    acknowledged → open            the while is over, and it is not resolved
    open, acknowledged → resolved  a person's verdict; or the system's own: it works again, or it never failed
    resolved → open                it failed again: the next occurrence, with a clock of its own

One conditional UPDATE decides each race; a trigger of the table (migration 0002) refuses every other change.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import F
from django.db.models.functions import Now

from agentops.accounts.models import User
from traces.alerts.models import OCCURRENCE_FIELDS, Alert, AlertState, PastOccurrence, Verdict


@dataclass(frozen=True)
class Move:
    """A change of state: where it begins, and where it leads."""

    begins: frozenset[AlertState]
    to: AlertState


TAKE = Move(frozenset({AlertState.OPEN}), AlertState.ACKNOWLEDGED)
LAPSE = Move(frozenset({AlertState.ACKNOWLEDGED}), AlertState.OPEN)
RESOLVE = Move(frozenset({AlertState.OPEN, AlertState.ACKNOWLEDGED}), AlertState.RESOLVED)
REOPEN = Move(frozenset({AlertState.RESOLVED}), AlertState.OPEN)

# What an occurrence that begins takes from its first cause; everything else of it is blank.
OF_ITS_CAUSE = frozenset({"onset_at", "received_at", "detected_at"})


def take(alert: Alert, *, by: User, lasting: timedelta) -> bool:
    """Let a person have an open alert for a while. Return whether it was theirs to take."""
    return _move(alert, TAKE, acknowledged_at=Now(), acknowledged_by=by, acknowledged_until=Now() + lasting)


def prolong(alert: Alert, *, by: User, lasting: timedelta) -> bool:
    """Let the person who has an alert keep it for a while from now on. Return whether they have it."""
    theirs = Alert.objects.filter(pk=alert.pk, state=AlertState.ACKNOWLEDGED, acknowledged_by=by)
    return _changed(alert, theirs.update(acknowledged_until=Now() + lasting))


def lapse(alert: Alert) -> bool:
    """Let an alert be open again whose acknowledgement is over. Return whether it was."""
    return _move(
        alert,
        LAPSE,
        only={"acknowledged_until__lte": Now()},
        acknowledged_at=None,
        acknowledged_by=None,
        acknowledged_until=None,
        lapses=F("lapses") + 1,
    )


def resolve(alert: Alert, *, verdict: Verdict, by: User | None = None, note: str = "") -> bool:
    """Close an alert; without a person it is the system's own verdict. Return whether it was still to be closed."""
    fields: dict[str, Any] = {"resolved_at": Now(), "resolved_by": by, "verdict": verdict, "note": note}
    return _move(alert, RESOLVE, acknowledged_until=None, waits_since=None, **fields)


def reopen(alert: Alert, first: Mapping[str, Any]) -> bool:
    """Put the occurrence that is over away and begin the next one with what its first cause fixes."""
    over = {name: getattr(alert, name) for name in OCCURRENCE_FIELDS}
    blank = {field.attname: field.get_default() for field in PastOccurrence._meta.concrete_fields}
    fresh = {name: blank[name] for name in OCCURRENCE_FIELDS if name not in OF_ITS_CAUSE}
    fresh |= {"number": F("number") + 1, "alerted_at": Now(), **first}
    if not _move(alert, REOPEN, only={"number": alert.number}, **fresh):
        return False
    PastOccurrence.objects.create(project_id=alert.project_id, alert=alert, **over)
    return True


def _move(alert: Alert, move: Move, *, only: Mapping[str, Any] | None = None, **fields: Any) -> bool:
    rows = Alert.objects.filter(pk=alert.pk, state__in=move.begins, **(only or {}))
    return _changed(alert, rows.update(state=move.to, **fields))


def _changed(alert: Alert, rows: int) -> bool:
    alert.refresh_from_db()
    return bool(rows)
