"""Telling people: one call writes the feed and the outbox in the caller's transaction, and wakes the delivery."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from uuid import UUID

import msgspec
from django.db import transaction
from django.db.models import Count
from django.db.models.functions import Now

from agentops.accounts.models import Project
from agentops.jobs.wake import wake
from agentops.notify import routing
from agentops.notify.channels.base import kinds
from agentops.notify.message import Message
from agentops.notify.models import LOOPBACK, Channel, DeliverJob, Delivery, FeedItem
from agentops.web.news import tell_pages

# The last resort: whoever calls groups by itself. What is over it is gathered for a minute into one message.
MOST_PER_WINDOW = 60
WINDOW = timedelta(minutes=1)


@transaction.atomic
def notify(
    project: Project | UUID,
    message: Message,
    *,
    key: str,
    drill: bool = False,
    without: Channel | None = None,
    only: Sequence[Channel] | None = None,
) -> list[Delivery]:
    """Tell the project's people once for each `key`; return what will be delivered for it, one for each channel.

    What stands before the first ":" of the key is its family; of one family a channel gets sixty messages a minute,
    and the others inside one more. `only` names the channels, whatever they take. A drill goes to the loopback channel
    alone and leaves no trace in the feed. Costs two queries for a known key, else seven, however many channels there
    are, and one more where channels have routes.
    """
    project_id = project.pk if isinstance(project, Project) else project
    message = message.cleaned()
    if drill or _write_feed(project_id, message, key):
        channels = list(_audience(project_id, drill, without) if only is None else only)
        channels = channels if drill or only is not None else routing.takers(channels, message)
        if channels:
            _write_outbox(channels, message, key, is_limited=not drill)
    return list(Delivery.objects.of(project_id).filter(key=key).select_related("channel").order_by("id"))


@transaction.atomic
def follow(project: Project | UUID, message: Message, *, key: str) -> None:
    """Tell how a thing stands now, once for each `key`, to the channels that keep a state of their own for it.

    Nobody else hears of it, and it shows nowhere: it is what somebody did in the product itself.
    """
    project_id = project.pk if isinstance(project, Project) else project
    message = message.cleaned()
    channels = [channel for channel in _audience(project_id, False, None) if _follows(channel)]
    channels = routing.takers(channels, message)
    if channels:
        _write_outbox(channels, message, key, is_limited=False)


def _follows(channel: Channel) -> bool:
    return channel.kind in kinds() and kinds()[channel.kind].follows


def loopback(project: Project) -> Channel:
    """Return the project's channel for drills, which nobody has to configure."""
    channel, _ = Channel.objects.get_or_create(
        project=project, name="Loopback", deleted_at=None, defaults={"kind": LOOPBACK}
    )
    return channel


def wake_channels(channel_ids: Iterable[UUID]) -> None:
    """Ask for a run of these channels' outboxes, in the caller's transaction."""
    jobs = [DeliverJob(channel_id=channel_id) for channel_id in channel_ids]
    # A message for each: in a shared one, a channel would wait behind another's receiver.
    for job_id in DeliverJob.objects.touch(jobs):
        transaction.on_commit(lambda job_id=job_id: wake(DeliverJob.kind, [job_id]), robust=True)  # type: ignore[misc]


def announce_feed(project_id: UUID) -> None:
    """Let open browsers read the feed again, after commit."""
    tell_pages(project_id, "feed")


def _write_feed(project_id: UUID, message: Message, key: str) -> bool:
    """Return whether the key is new."""
    item = FeedItem(
        project_id=project_id,
        key=key,
        kind=message.kind,
        severity=message.severity,
        title=message.title,
        body=message.body,
        url=message.url,
    )
    FeedItem.objects.bulk_create([item], ignore_conflicts=True)
    if not FeedItem.objects.filter(pk=item.pk).exists():
        return False
    announce_feed(project_id)
    return True


def _audience(project_id: UUID, drill: bool, without: Channel | None) -> Iterable[Channel]:
    channels = Channel.objects.of(project_id).open()
    channels = channels.filter(kind=LOOPBACK) if drill else channels.for_people()
    return channels.exclude(pk=without.pk) if without else channels


def _write_outbox(channels: list[Channel], message: Message, key: str, *, is_limited: bool) -> None:
    family = key.partition(":")[0]
    limited = [channel.pk for channel in channels if is_limited and not _follows(channel)]
    full = _full(limited, family) if limited else set()
    gathering = _gathering(full, family)
    deliveries = []
    for channel in channels:
        delivery = Delivery(
            project_id=channel.project_id,
            channel=channel,
            key=key,
            family=family,
            event_id=message.id,
            message=msgspec.to_builtins(message),
        )
        if channel.pk in full:
            delivery.folded_into_id = gathering.get(channel.pk)
            delivery.gathers = delivery.folded_into_id is None
            delivery.next_attempt_at = Now() + WINDOW
        deliveries.append(delivery)
    Delivery.objects.bulk_create(deliveries, ignore_conflicts=True)
    wake_channels([channel.pk for channel in channels])


def _full(channel_ids: list[UUID], family: str) -> set[UUID]:
    """Return the channels that had as much of this family as they can take."""
    recent = Delivery.objects.standing().filter(
        channel__in=channel_ids, family=family, created_at__gt=Now() - WINDOW, gathers=False
    )
    counts = recent.values("channel").annotate(count=Count("pk")).filter(count__gte=MOST_PER_WINDOW)
    return set(counts.values_list("channel", flat=True))


def _gathering(channel_ids: set[UUID], family: str) -> dict[UUID, UUID]:
    """Return, by channel, the message that gathers and has not left yet.

    It is locked, so that it does not leave before what travels inside it is there: sent again, it says the same.
    """
    if not channel_ids:
        return {}
    waiting = Delivery.objects.pending().filter(channel__in=channel_ids, family=family, gathers=True, attempts=0)
    locked = waiting.order_by("created_at").select_for_update(no_key=True, of=("self",))
    return dict(locked.values_list("channel", "pk"))
