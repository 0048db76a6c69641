"""What is older than the project keeps: ended deliveries and feed items."""

from datetime import timedelta

from django.conf import settings
from django.db.models import QuerySet
from django.db.models.functions import Now

from agentops.notify.models import Delivery, FeedItem

AT_ONCE = 5_000  # rows removed by one statement, so that no lock is held for long


def remove_old() -> None:
    age = timedelta(days=settings.ENV.agentops_retention_days)
    while _remove_some(Delivery.objects.filter(ended_at__lt=Now() - age)):
        pass
    while _remove_some(FeedItem.objects.filter(created_at__lt=Now() - age)):
        pass


def _remove_some(old: "QuerySet[Delivery] | QuerySet[FeedItem]") -> bool:
    some = list(old.values_list("pk", flat=True)[:AT_ONCE])
    old.model._default_manager.filter(pk__in=some).delete()
    return len(some) == AT_ONCE
