"""That people were told of an alert: by which message, when it arrived, and what open browsers hear of it."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce, Now

from agentops.notify.models import Delivery
from agentops.web.news import tell_pages
from traces.alerts.models import Alert, PastOccurrence
from traces.alerts.silences import HeldBack

AT_ONCE = 100


def note_told(alerts: Sequence[Alert], key: str, *, is_delivered: bool) -> None:
    """Note that these were told by a message; where no channel is set up, the feed is where people are told."""
    rows = Alert.objects.filter(pk__in=[alert.pk for alert in alerts])
    first = {"first_attempt_at": Now(), "delivered_at": Now()} if is_delivered else {}
    rows.filter(told_key="").update(told_key=key, **first)
    rows.update(told_at=Coalesce("told_at", Now()), waits_since=None)
    HeldBack.objects.filter(alert__in=alerts, settled_at=None).update(settled_at=Now(), told_key=key)
    for alert in alerts:
        alert.refresh_from_db()


def announce(project_id: UUID) -> None:
    """Let open browsers read the alerts again, after commit."""
    tell_pages(project_id, "alerts")


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
