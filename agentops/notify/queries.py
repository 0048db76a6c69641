"""What pages and other rooms ask about channels, deliveries and the feed."""

from collections.abc import Iterable
from uuid import UUID

from django.http import HttpRequest

from agentops.accounts.models import Membership, Project
from agentops.notify.models import Channel, Delivery, FeedItem

COUNTED = 100  # more unread than this are said as that many


def deliveries(project: Project | UUID, keys: Iterable[str]) -> list[Delivery]:
    """Return what became of these keys, whatever the channel, oldest first. One query."""
    found = Delivery.objects.of(project).filter(key__in=list(keys))
    return list(found.select_related("channel").order_by("id"))


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
