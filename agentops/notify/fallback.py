"""What a channel could not deliver for minutes is told by the project's fallback, and in the feed as critical."""

from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from agentops.notify.message import Message
from agentops.notify.models import Channel, Delivery, DeliveryState
from agentops.notify.services import notify

AFTER, AFTER_CRITICAL = timedelta(minutes=5), timedelta(minutes=1)
EVERY = timedelta(minutes=1)  # a channel's fallback hears of it at most so often
RECENT = timedelta(hours=1)  # what a channel had when it went that long ago is told no more
LISTED = 10
OURS = "channel"  # what says that a channel fails is told by the others already


def fall_back() -> None:
    """Tell of what waits too long for a channel in trouble, or went with it. One query where none is in trouble."""
    failing = Q(failing_since__lte=Now() - AFTER_CRITICAL, gone_at=None)
    troubled = Channel.objects.for_people().filter(failing | Q(gone_at__gt=Now() - RECENT), paused_at=None)
    for channel in troubled:
        _tell_of(channel)


@transaction.atomic
def _tell_of(channel: Channel) -> None:
    """Take the channel's turn, and tell of what nobody was told of yet in one message."""
    rested = Q(fell_back_at=None) | Q(fell_back_at__lte=Now() - EVERY)
    late = Q(channel__failing_since__lte=Now() - AFTER) | Q(message__severity="critical")
    lost = Q(state=DeliveryState.PENDING) & late | Q(state=DeliveryState.GONE, ended_at__gt=Now() - RECENT)
    rows = Delivery.objects.filter(lost, channel=channel, fell_back_at=None).exclude(family=OURS)
    if not rows.exists() or not Channel.objects.filter(rested, pk=channel.pk).update(fell_back_at=Now()):
        return
    ids = list(rows.order_by("id").values_list("pk", flat=True))
    titles = Delivery.objects.filter(pk__in=ids[:LISTED]).order_by("id").values_list("message__title", flat=True)
    Delivery.objects.filter(pk__in=ids).update(fell_back_at=Now())
    more = [f"and {len(ids) - LISTED} more"] if len(ids) > LISTED else []
    message = Message(
        kind="channel.undelivered",
        id=f"channel:{channel.pk}:undelivered",
        title=f"{len(ids)} message{'s' if len(ids) > 1 else ''} did not reach the channel {channel.name}",
        body="\n".join([*titles, *more]),
        severity="critical",
        url=channel.get_absolute_url(),
    )
    fallback = Channel.objects.of(channel.project_id).open().filter(is_fallback=True).exclude(pk=channel.pk)
    notify(channel.project_id, message, key=f"channel:{channel.pk}:undelivered:{uuid7()}", only=list(fallback))
