"""What pages and other rooms ask about channels, deliveries and the feed."""

from collections.abc import Iterable
from uuid import UUID

from django.db.models import Prefetch
from django.http import HttpRequest

from agentops.accounts.models import Membership, Project
from agentops.notify.models import Attempt, Channel, Delivery, DeliveryQuerySet, FeedItem

COUNTED = 100  # more unread than this are said as that many


def deliveries(project: Project | UUID, keys: Iterable[str]) -> list[Delivery]:
    """Return what became of these keys, whatever the channel, oldest first. One query."""
    return list(_of_keys(project, keys))


def deliveries_and_tries(project: Project | UUID, keys: Iterable[str]) -> list[Delivery]:
    """Return the same with each attempt. Two queries."""
    return list(with_tries(_of_keys(project, keys)))


def with_tries(found: DeliveryQuerySet) -> DeliveryQuerySet:
    """Bring the attempts of each delivery, oldest first. One query more."""
    return found.prefetch_related(Prefetch("tries", Attempt.objects.order_by("number")))


def _of_keys(project: Project | UUID, keys: Iterable[str]) -> DeliveryQuerySet:
    return Delivery.objects.of(project).filter(key__in=list(keys)).select_related("channel").order_by("id")


def troubled(project: Project) -> list[Channel]:
    """Return the channels that fail now or have gone, for a banner. One query."""
    return list(Channel.objects.of(project).troubled().order_by("name"))


def is_anybody_reached() -> bool:
    """Say whether some channel reaches a person; without one, alerts show only in the product. One query."""
    return Channel.objects.for_people().open().exists()


def unread(member: Membership) -> int:
    """Return how many feed items the member has not read, counted up to a hundred. One query."""
    return FeedItem.objects.of(member.project_id).unread_by(member)[:COUNTED].count()


def unread_count(request: HttpRequest) -> tuple[int, str, str] | None:
    """The number beside the feed in the navigation. One query."""
    member: Membership | None = getattr(request, "membership", None)
    count = unread(member) if member else 0
    return (count, "", "") if count else None
