"""What can wait: alerts of low severity, and those that flap, are told together, once an hour at most.

One of low severity that was told, was resolved and is there again is told once a day at most: it says what a client
never sends, so every run of that client opens it again.
"""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now
from django.urls import reverse
from uuid_utils.compat import uuid7

from agentops.notify.message import Message
from agentops.notify.services import notify
from traces.alerts.models import RANK, Alert, AlertQuerySet, PastOccurrence
from traces.alerts.told import announce, note_told

EVERY = timedelta(hours=1)
AGAIN = timedelta(days=1)  # between two messages about low alerts of one fingerprint
LISTED = 20  # alerts in one message; the page has the others
QUIET = "low"
TAKE_TURN = """
    INSERT INTO alerts_digestturn (project_id, at) VALUES (%s, now())
    ON CONFLICT (project_id) DO UPDATE SET at = excluded.at
    WHERE alerts_digestturn.at <= now() - make_interval(secs => %s)
"""


def is_quiet(alert: Alert) -> bool:
    """Say whether nobody has to be told of it at once."""
    return alert.severity == QUIET or alert.flapping_since is not None


def has_to_wait(alert: Alert) -> bool:
    """Say whether an alert waits for the digest; if it is the first quiet one for an hour, it is told at once."""
    if not is_quiet(alert):
        return False
    if alert.severity == QUIET and alert.past.filter(told_at__gt=Now() - AGAIN).exists():
        return True
    return alert.flapping_since is not None or not take_turn(alert.project_id)


def take_turn(project_id: UUID) -> bool:
    """Take the one message an hour of a project. Return whether it was to be had. One statement."""
    with connection.cursor() as cursor:
        cursor.execute(TAKE_TURN, [project_id, EVERY.total_seconds()])
        return bool(cursor.rowcount)


def send_due() -> None:
    """Send the digests whose time has come. One query where nothing waits."""
    waiting = _waiting()
    for project_id in waiting.values_list("project", flat=True).distinct():
        _send(project_id)


def _waiting() -> AlertQuerySet:
    """Those that the next digest tells of: not the low ones whose last occurrence was told less than a day ago."""
    lately = PastOccurrence.objects.filter(alert=OuterRef("pk"), told_at__gt=Now() - AGAIN)
    rows = Alert.objects.open().filter(waits_since__isnull=False)
    return rows.exclude(Q(severity=QUIET) & Exists(lately))


@transaction.atomic
def _send(project_id: UUID) -> None:
    # Those whose rows somebody holds now are told by the next one: waiting for them could be waiting for each other.
    rows = _waiting().of(project_id).heard()
    alerts = list(rows.select_for_update(skip_locked=True, of=("self",)).order_by("waits_since"))
    if alerts and take_turn(project_id):
        tell_together(alerts, title=f"{_so_many(alerts)} that could wait")


def tell_together(alerts: Sequence[Alert], *, title: str) -> None:
    """Tell of several alerts of one project, which the caller has locked, in one message."""
    project_id, key = alerts[0].project_id, f"digest:{uuid7()}"
    message = Message(
        kind="alert.digest",
        id=f"digest:{project_id}",
        title=title,
        body="\n".join(_lines(alerts)),
        severity=max((alert.severity for alert in alerts), key=lambda severity: RANK[severity]),
        about=tuple({(alert.pattern, alert.agent): None for alert in alerts}),
        url=alerts[0].get_absolute_url() if len(alerts) == 1 else f"{reverse('alerts:list')}?state=open",
    )
    deliveries = notify(project_id, message, key=key)
    note_told(alerts, key, is_delivered=not deliveries)
    announce(project_id)


def _so_many(alerts: Sequence[Alert]) -> str:
    return "1 open alert" if len(alerts) == 1 else f"{len(alerts)} open alerts"


def _lines(alerts: Sequence[Alert]) -> list[str]:
    lines = [f"{alert.severity}, {alert.pattern}: {alert.title}" for alert in alerts[:LISTED]]
    more = len(alerts) - LISTED
    return [*lines, f"and {more} more"] if more > 0 else lines
