"""Which channel gets what: everything, unless a person gave it routes."""

from collections.abc import Sequence

from django.db import transaction
from django.db.models import prefetch_related_objects
from django.http import HttpRequest

from agentops.accounts.models import Project, User
from agentops.audit import services as audit
from agentops.notify.message import Message
from agentops.notify.models import Channel, Route

SEVERITIES = ("low", "medium", "high", "critical")
# What messages may be about, for people to choose from; each room adds its own when it is ready.
subjects = ["channel"]


def takers(channels: Sequence[Channel], message: Message) -> list[Channel]:
    """Return those of the channels that take the message. One query where any has routes, else none."""
    prefetch_related_objects([channel for channel in channels if not channel.takes_all], "routes")
    return [channel for channel in channels if channel.takes_all or _is_let_through(channel, message)]


def _is_let_through(channel: Channel, message: Message) -> bool:
    return any(fits(route, message) for route in channel.routes.all())


def fits(route: Route, message: Message) -> bool:
    """Say whether a route lets a message through; one about several things passes for any of them."""
    if _rank(message.severity) < _rank(route.at_least):
        return False
    return any(
        route.pattern in {"", pattern} and (not route.agent or _is_like(route.agent, agent))
        for pattern, agent in message.subjects
    )


def _rank(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else 0


def _is_like(glob: str, text: str) -> bool:
    """Match a glob of `*` in time that grows with its stars only: each part is looked for once, from left to right."""
    first, *rest = glob.split("*")
    if not rest:
        return text == glob
    *middle, last = rest
    if not text.startswith(first) or len(text) < len(first) + len(last) or not text.endswith(last):
        return False
    place, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, place, end)
        if found < 0:
            return False
        place = found + len(part)
    return True


@transaction.atomic
def add_route(
    channel: Channel, *, pattern: str, at_least: str, agent: str, by: User, request: HttpRequest | None = None
) -> Route:
    """Let through to a channel what fits; one that took everything takes from now on only what a route lets through."""
    route = Route.objects.create(channel=channel, pattern=pattern, at_least=at_least, agent=agent)
    Channel.objects.filter(pk=channel.pk).update(takes_all=False)
    _record("channel.route_added", channel, by, request, route=str(route))
    return route


@transaction.atomic
def remove_route(route: Route, *, by: User, request: HttpRequest | None = None) -> None:
    """Remove a route. A channel whose last one it was takes nothing, until it is given another, or takes everything."""
    said = str(route)
    route.delete()
    _record("channel.route_removed", route.channel, by, request, route=said)


@transaction.atomic
def set_takes_all(channel: Channel, takes_all: bool, *, by: User, request: HttpRequest | None = None) -> None:
    """Let a channel take everything, or only what its routes let through. Its routes stay."""
    if Channel.objects.filter(pk=channel.pk).exclude(takes_all=takes_all).update(takes_all=takes_all):
        _record("channel.takes_changed", channel, by, request, takes_all=takes_all)


@transaction.atomic
def set_fallback(project: Project, channel: Channel | None, *, by: User, request: HttpRequest | None = None) -> None:
    """Let a channel hear what others could not deliver; without one the feed alone says so, as critical."""
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)  # two admins: the later one wins
    Channel.objects.of(project).filter(is_fallback=True).update(is_fallback=False)
    if channel is not None:
        Channel.objects.filter(pk=channel.pk).update(is_fallback=True)
    detail = {"channel": channel.name if channel else ""}
    audit.record(
        "project.fallback_chosen", actor=by, project=project, target=channel or project, detail=detail, request=request
    )


def _record(action: str, channel: Channel, by: User, request: HttpRequest | None, **detail: object) -> None:
    audit.record(action, actor=by, project=channel.project_id, target=channel, detail=detail, request=request)
