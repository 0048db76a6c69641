"""Telling people of an alert: what is said when, what a silence holds back, and when the first message arrived."""

import json
from datetime import datetime
from enum import Enum
from uuid import UUID

from django.db import connection, transaction
from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce, Now

from agentops.notify.message import Message
from agentops.notify.models import Delivery
from agentops.notify.services import notify
from traces.alerts.models import Alert, AlertState, PastOccurrence

AT_ONCE = 100


class News(Enum):
    """What is worth a message; three at most of one occurrence reach a channel before it is resolved."""

    OPENED = "opened"
    HIGH = "high"  # it grew to this severity; what grows to medium is on the page
    CRITICAL = "critical"
    RETRACTED = "retracted"


@transaction.atomic
def tell(alert: Alert, news: News) -> None:
    """Write one message about the occurrence under way into the outbox and the feed, unless a silence holds it back.

    The same news of one occurrence is told once. Where no channel is set up, the feed is where people are told.
    """
    key = f"alert:{alert.pk}:{alert.number}:{news.value}"
    told = Alert.objects.heard().filter(pk=alert.pk)
    if not told.update(told_at=Coalesce("told_at", Now())):
        return
    deliveries = notify(alert.project_id, _message(alert, news), key=key)
    first = Alert.objects.filter(pk=alert.pk, told_key="")
    if deliveries:
        first.update(told_key=key)
    else:
        first.update(told_key=key, first_attempt_at=Now(), delivered_at=Now())


def _message(alert: Alert, news: News) -> Message:
    said = f"Next: {alert.next_step}" if alert.next_step else ""
    if news is News.RETRACTED:
        said = "Steps that came late show that this was no failure. The alert is resolved."
    elif alert.is_regression:
        said = f"It failed again after it was resolved, for the {alert.number}. time.\n\n{said}"
    heads = {News.OPENED: "", News.HIGH: "Now high: ", News.CRITICAL: "Now critical: ", News.RETRACTED: "Retracted: "}
    return Message(
        kind="alert.resolved" if news is News.RETRACTED else "alert.opened" if news is News.OPENED else "alert.worse",
        id=f"alert:{alert.pk}",
        title=heads[news] + alert.title,
        body=f"{alert.pattern}, {alert.severity}.\n\n{said}".strip(),
        severity=alert.severity,
        url=alert.get_absolute_url(),
    )


def announce(project_id: UUID) -> None:
    """Let open browsers read the alerts again, after commit."""
    notice = {"project": project_id.hex, "event": "alerts"}
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify('agentops', %s)", [json.dumps(notice)])


def note_delivery(key: str, first_attempt_at: datetime, delivered_at: datetime) -> None:
    """Note when the first message of an occurrence arrived, on whichever channel was the quickest."""
    times = {"first_attempt_at": first_attempt_at, "delivered_at": delivered_at}
    for row in Alert.objects.filter(told_key=key, delivered_at=None):
        if Alert.objects.filter(pk=row.pk, told_key=key, delivered_at=None).update(**times):
            announce(row.project_id)
    PastOccurrence.objects.filter(told_key=key, delivered_at=None).update(**times)


def note_missed_deliveries() -> None:
    """Note what arrived without our hearing of it: an announcement is lost when its process dies. Two statements."""
    _copy_times(Alert.objects.exclude(told_key=""), Alert)
    _copy_times(PastOccurrence.objects.exclude(told_key=""), PastOccurrence)


def _copy_times(rows: "QuerySet[Alert] | QuerySet[PastOccurrence]", model: type[Alert] | type[PastOccurrence]) -> None:
    arrived = Delivery.objects.filter(
        project=OuterRef("project"), key=OuterRef("told_key"), delivered_at__isnull=False
    ).order_by("delivered_at")
    late = rows.filter(delivered_at=None).annotate(at=Subquery(arrived.values("delivered_at")[:1]))
    some = list(late.exclude(at=None).values_list("pk", flat=True)[:AT_ONCE])
    if some:
        model._default_manager.filter(pk__in=some, delivered_at=None).update(
            first_attempt_at=Subquery(arrived.values("first_attempt_at")[:1]),
            delivered_at=Subquery(arrived.values("delivered_at")[:1]),
        )


def tell_what_was_silenced() -> None:
    """Tell of what failed during a silence and is still not resolved when it ends."""
    over = Alert.objects.heard().filter(told_at=None, silenced_until__isnull=False)
    over = over.exclude(state=AlertState.RESOLVED)
    for alert_id in over.values_list("pk", flat=True)[:AT_ONCE]:
        with transaction.atomic():
            alert = over.select_for_update(skip_locked=True).filter(pk=alert_id).first()
            if alert is not None:
                tell(alert, News.OPENED)
