"""Working off a channel's outbox: one attempt after another, each committed before it is made.

An attempt is counted, and the next one scheduled, before anything is sent: whatever becomes of the process, nothing is
tried more often than the schedule says, and a message sent twice has the same id.
"""

import time
from datetime import timedelta
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import F, Min
from django.db.models.functions import Coalesce, Greatest, Now

from agentops.jobs.errors import describe
from agentops.notify import recording
from agentops.notify.channels.base import Envelope, Outcome, Result, kinds
from agentops.notify.models import Attempt, Channel, Delivery
from agentops.notify.sealing import UnreadableError
from agentops.outbound.errors import OutboundError

MINUTE, HOUR = 60, 3600
# Waits after the first attempt, the second, and so on: 72 hours in all. Then it has failed.
WAITS_S = (5, 30, 2 * MINUTE, 10 * MINUTE, 30 * MINUTE, *(hours * HOUR for hours in (1, 2, 4, 8, 12, 20, 24)))
MOST_KEPT = 20  # attempts of one delivery, the newest; more are made only where processes die in them
MOST_REFUSALS = 5  # a message that its receiver does not take is given up after ten minutes
TURN_S = 10.0  # a channel gives way to others then
SLOW_S = 2.0  # a receiver that takes longer gives way after each message

log = structlog.get_logger(__name__)


def drain(channel_id: UUID) -> timedelta | None:
    """Send what is due, and return when to come again; None when nothing is left.

    Ends its turn when the receiver is slow or in trouble, so that no receiver keeps a worker from the others.
    """
    recording.unfold_stragglers(channel_id)
    end = time.monotonic() + TURN_S
    while (delivery := begin_next(channel_id)) is not None:
        begun = time.monotonic()
        folded = recording.folded_in(delivery)
        envelope = Envelope(delivery.wire_id, delivery.content(), delivery.created_at, more=len(folded))
        outcome = try_once(delivery.channel, envelope)
        took_s = time.monotonic() - begun
        recording.record(delivery, outcome, folded=folded, took_s=took_s, is_last=_is_last(delivery, outcome))
        if outcome.result in {Result.CHANNEL_FAILED, Result.GONE} or took_s > SLOW_S or time.monotonic() > end:
            break
    return next_turn_in(channel_id)


@transaction.atomic
def begin_next(channel_id: UUID) -> Delivery | None:
    """Commit that the next delivery is being attempted, and return it; None when nothing is due."""
    ready = Channel.objects.open().filter(pk=channel_id).exclude(retry_at__gt=Now())
    due = (
        Delivery.objects.pending()
        .standing()
        .filter(channel__in=ready, next_attempt_at__lte=Now())
        .first_of_their_event()
        .order_by("id")
    )
    delivery = due.select_for_update(skip_locked=True, of=("self",)).first()
    if delivery is None:
        return None
    wait_s = WAITS_S[min(delivery.attempts, len(WAITS_S) - 1)]
    Delivery.objects.filter(pk=delivery.pk).update(
        attempts=F("attempts") + 1,
        first_attempt_at=Coalesce("first_attempt_at", Now()),
        next_attempt_at=Now() + timedelta(seconds=wait_s),
    )
    begun = Delivery.objects.select_related("channel").get(pk=delivery.pk)
    Attempt.objects.create(delivery=begun, number=begun.attempts)
    begun.tries.filter(number__lte=begun.attempts - MOST_KEPT).delete()
    return begun


def try_once(channel: Channel, envelope: Envelope) -> Outcome:
    """Send once. Never raises, and says nothing that a secret could be in."""
    kind = kinds().get(channel.kind)
    if kind is None:
        return Outcome(Result.CHANNEL_FAILED, "not installed")
    try:
        return kind.send(channel, envelope)
    except OutboundError as error:
        return Outcome(Result.CHANNEL_FAILED, error.reason.value)
    except UnreadableError:
        return Outcome(Result.CHANNEL_FAILED, "secret unreadable")
    except Exception as error:
        # Without the traceback: a secret may be in it.
        log.error("delivery_broke", channel=str(channel.pk), message=envelope.id, error=describe(error))  # noqa: TRY400
        return Outcome(Result.MESSAGE_REFUSED, "cannot be sent")


def _is_last(delivery: Delivery, outcome: Outcome) -> bool:
    most = MOST_REFUSALS if outcome.result is Result.MESSAGE_REFUSED else len(WAITS_S) + 1
    return delivery.attempts >= most


def next_turn_in(channel_id: UUID) -> timedelta | None:
    """Return how long until something is due; None when nothing is, or nothing may be sent."""
    waiting = Delivery.objects.pending().standing().filter(channel__in=Channel.objects.open().filter(pk=channel_id))
    due_at = Greatest("next_attempt_at", Coalesce("channel__retry_at", "next_attempt_at"))
    wait: timedelta | None = waiting.first_of_their_event().aggregate(wait=Min(due_at) - Now())["wait"]
    return None if wait is None else max(wait, timedelta(0))
