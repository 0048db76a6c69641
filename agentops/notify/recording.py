"""What became of an attempt: states of deliveries, health of channels, and telling people when a channel fails."""

from collections.abc import Collection
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Now

from agentops.notify import services, signals
from agentops.notify.channels.base import Outcome, Result
from agentops.notify.message import Message
from agentops.notify.models import Channel, Delivery, DeliveryQuerySet, DeliveryState

FAILING_AFTER = timedelta(minutes=2)
PAUSES_S = (5, 15, 30, 60)  # how long a receiver in trouble is left alone, by failures in a row

log = structlog.get_logger(__name__)


def folded_in(delivery: Delivery) -> list[UUID]:
    """Return what travels inside this one."""
    if not delivery.gathers:
        return []
    return list(Delivery.objects.pending().filter(folded_into=delivery).values_list("pk", flat=True))


def unfold_stragglers(channel_id: UUID) -> None:
    """Let those travel by themselves that came too late for the one that was to carry them."""
    late = Delivery.objects.pending().filter(channel=channel_id).exclude(folded_into=None)
    late.exclude(folded_into__state=DeliveryState.PENDING).update(folded_into=None)


@transaction.atomic
def record(delivery: Delivery, outcome: Outcome, *, folded: Collection[UUID], took_s: float, is_last: bool) -> None:
    """Write down how an attempt ended.

    The channel's row is locked first, as by whoever tells of its trouble: so neither waits for the other's rows, and
    what people were told of it during the attempt is known here.
    """
    channel = Channel.objects.select_for_update(no_key=True).get(pk=delivery.channel_id)
    log.info(
        "delivery_attempted",
        channel=str(delivery.channel_id),
        delivery=str(delivery.pk),
        attempt=delivery.attempts,
        status=outcome.status,
        took_ms=round(took_s * 1_000),
    )
    took_ms = round(took_s * 1_000)
    delivery.tries.filter(number=delivery.attempts).update(status=outcome.status, took_ms=took_ms)
    ours = Delivery.objects.filter(pk__in=[delivery.pk, *folded])
    ours.update(last_status=outcome.status, last_took_ms=took_ms)
    if outcome.result is Result.DELIVERED:
        _delivered(channel, delivery, ours)
    elif outcome.result is Result.GONE:
        _gone(channel, outcome)
    else:
        _failed(channel, outcome)
        if is_last:
            ours.pending().update(state=DeliveryState.FAILED, ended_at=Now())


def _delivered(channel: Channel, delivery: Delivery, ours: DeliveryQuerySet) -> None:
    ours.update(
        state=DeliveryState.DELIVERED,
        first_attempt_at=Coalesce("first_attempt_at", delivery.first_attempt_at),
        delivered_at=Now(),
        ended_at=Now(),
    )
    if channel.failing_since or channel.retry_at:
        # The receiver is back: what waits for it need not wait for its turn in the schedule.
        Delivery.objects.pending().filter(channel=channel, attempts__gt=0).update(next_attempt_at=Now())
    if channel.told_at:
        _tell_recovered(channel)
    Channel.objects.filter(pk=channel.pk).update(
        last_ok_at=Now(), failing_since=None, failures=0, last_error="", retry_at=None, told_at=None
    )
    for row in ours.values("key", "first_attempt_at", "delivered_at", "channel_id", delivery_id=F("id")):
        transaction.on_commit(lambda row=row: signals.delivered.send(Delivery, **row), robust=True)  # type: ignore[misc]


def _failed(channel: Channel, outcome: Outcome) -> None:
    waits: dict[str, object] = {}
    if outcome.result is Result.CHANNEL_FAILED:
        pause_s = outcome.retry_after_s or PAUSES_S[min(channel.failures, len(PAUSES_S) - 1)]
        waits = {"retry_at": Now() + timedelta(seconds=pause_s)}
    Channel.objects.filter(pk=channel.pk).update(
        failing_since=Coalesce("failing_since", Now()), failures=F("failures") + 1, last_error=outcome.status, **waits
    )


def _gone(channel: Channel, outcome: Outcome) -> None:
    """The receiver answered 410: nothing more is sent there, and people hear of it elsewhere."""
    gone = Channel.objects.filter(pk=channel.pk, gone_at=None).update(gone_at=Now(), last_error=outcome.status)
    Delivery.objects.pending().filter(channel=channel).update(state=DeliveryState.GONE, ended_at=Now())
    if gone:
        _tell_failing(Channel.objects.get(pk=channel.pk))


def tell_of_failing_channels() -> None:
    """Tell people, once, of every channel that has failed for two minutes."""
    failing = Channel.objects.open().filter(failing_since__lte=Now() - FAILING_AFTER, told_at=None)
    for channel in failing:
        with transaction.atomic():
            _tell_failing(channel)


def _tell_failing(channel: Channel) -> None:
    if not Channel.objects.filter(pk=channel.pk, told_at=None).update(told_at=Now()):
        return
    since = channel.gone_at or channel.failing_since
    said = "is gone: its receiver wants nothing any more" if channel.gone_at else f"fails ({channel.last_error})"
    message = Message(
        kind="channel.failing",
        id=f"channel:{channel.pk}",
        title=f"The channel {channel.name} {said}",
        body="What is told goes to the other channels and to the feed.",
        severity="high",
        url=channel.get_absolute_url(),
    )
    services.notify(channel.project_id, message, key=f"channel:{channel.pk}:failing:{since}", without=channel)
    about: dict[str, Any] = {"channel_id": channel.pk, "project_id": channel.project_id, "since": since}
    about |= {"status": channel.last_error, "is_gone": channel.gone_at is not None}
    transaction.on_commit(lambda: signals.channel_failing.send(Channel, **about), robust=True)


def _tell_recovered(channel: Channel) -> None:
    message = Message(
        kind="channel.recovered",
        id=f"channel:{channel.pk}",
        title=f"The channel {channel.name} works again",
        phase="resolved",
        url=channel.get_absolute_url(),
    )
    key = f"channel:{channel.pk}:recovered:{channel.failing_since}"
    services.notify(channel.project_id, message, key=key, without=channel)
    about = {"channel_id": channel.pk, "project_id": channel.project_id}
    transaction.on_commit(lambda: signals.channel_recovered.send(Channel, **about), robust=True)
