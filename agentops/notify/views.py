"""The settings pages of a project's channels. Everybody may see how they do; admins set them up."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from agentops.accounts.policy import may, requires
from agentops.accounts.request import ProjectRequest
from agentops.accounts.scoped import get_scoped_or_404
from agentops.notify import configure
from agentops.notify.channels.base import kinds
from agentops.notify.forms import ChannelForm
from agentops.notify.models import Channel, ChannelQuerySet, Delivery
from agentops.notify.queries import with_tries
from agentops.notify.trial import try_channel
from agentops.web.numbers import duration

INVALID = 422
FIRST = "webhook"  # offered where nobody has chosen
SHOWN = 30
TAKEN = "Another channel has this name."


@require_GET
def channel_list(request: ProjectRequest) -> HttpResponse:
    """List channels with their health. One query."""
    channels = list(Channel.objects.of(request.project).for_people().order_by("name"))
    rows = [(channel, _label(channel), _leads_to(channel)) for channel in channels]
    context = {"rows": rows, **_rights(request)}
    return render(request, "notify/channels.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("manage_channels")
def channel_add(request: ProjectRequest) -> HttpResponse:
    """Add a channel of the kind that the address names; a webhook otherwise."""
    offered = {kind.name: kind for kind in kinds().values() if kind.is_offered}
    kind = offered.get(request.GET.get("kind", "")) or offered[FIRST]
    form = ChannelForm(kind, request.POST if request.method == "POST" and not kind.missing() else None)
    if form.is_valid():
        try:
            made = configure.create_channel(
                request.project,
                kind=kind.name,
                name=form.cleaned_data["name"],
                values=form.values(),
                by=request.user,
                request=request,
            )
        except configure.NameTakenError:
            form.add_error("name", TAKEN)
        else:
            return _channel_page(request, made.channel, secret=made.secret)
    context = {"form": form, "kind": kind, "missing": kind.missing(), "offered": offered.values()}
    return render(request, "notify/channel_add.html", context, status=INVALID if form.is_bound else 200)


@require_GET
def channel_detail(request: ProjectRequest, pk: UUID) -> HttpResponse:
    """Show a channel's health and its last deliveries with each attempt. Three queries."""
    return _channel_page(request, _channel(request, pk))


@require_http_methods(["GET", "HEAD", "POST"])
@requires("manage_channels")
def channel_edit(request: ProjectRequest, pk: UUID) -> HttpResponse:
    channel = get_scoped_or_404(_installed(), request.project, pk=pk)
    form = ChannelForm(kinds()[channel.kind], request.POST if request.method == "POST" else None, channel=channel)
    if form.is_valid():
        try:
            done = configure.change_channel(
                channel,
                name=form.cleaned_data["name"],
                values=form.values(),
                forget=form.cleaned_data.get("forget", False),
                by=request.user,
                request=request,
            )
        except configure.NameTakenError:
            form.add_error("name", TAKEN)
        else:
            return _channel_page(request, _channel(request, pk), secret=done.secret)
    context = {"form": form, "channel": channel, "kind": form.kind}
    return render(request, "notify/channel_edit.html", context, status=INVALID if form.is_bound else 200)


@require_POST
@requires("manage_channels")
def channel_test(request: ProjectRequest, pk: UUID) -> HttpResponse:
    """Send a test and say how it went: its status class and how long it took, nothing of the answer."""
    channel = _channel(request, pk)
    tried = try_channel(channel, by=request.user, request=request)
    say = messages.success if tried.is_delivered else messages.error
    arrived = "The test arrived" if tried.is_delivered else "The test did not arrive"
    say(request, f"{arrived}: {tried.status}, {duration(tried.took_s)}.")
    return redirect(channel)


@require_POST
@requires("manage_channels")
def channel_pause(request: ProjectRequest, pk: UUID) -> HttpResponse:
    channel = _channel(request, pk)
    configure.pause_channel(channel, by=request.user, request=request)
    return redirect(channel)


@require_POST
@requires("manage_channels")
def channel_resume(request: ProjectRequest, pk: UUID) -> HttpResponse:
    channel = _channel(request, pk)
    configure.resume_channel(channel, by=request.user, request=request)
    return redirect(channel)


@require_POST
@requires("manage_channels")
def channel_secret(request: ProjectRequest, pk: UUID) -> HttpResponse:
    """Make a new signing secret and show it once."""
    channel = get_scoped_or_404(_installed(), request.project, pk=pk)
    done = configure.renew_secret(channel, by=request.user, request=request)
    return _channel_page(request, done.channel, secret=done.secret)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("manage_channels")
def channel_delete(request: ProjectRequest, pk: UUID) -> HttpResponse:
    """Ask first, then delete."""
    channel = _channel(request, pk)
    if request.method != "POST":
        waiting = Delivery.objects.pending().filter(channel=channel).count()
        return render(request, "notify/channel_delete.html", {"channel": channel, "waiting": waiting})
    configure.delete_channel(channel, by=request.user, request=request)
    return redirect("notify:channels")


def _installed() -> ChannelQuerySet:
    """Channels whose kind this installation has; the file of one may have been taken away."""
    return Channel.objects.for_people().filter(kind__in=kinds())


def _channel(request: ProjectRequest, pk: UUID) -> Channel:
    return get_scoped_or_404(Channel.objects.for_people(), request.project, pk=pk)


def _channel_page(request: ProjectRequest, channel: Channel, *, secret: str = "") -> HttpResponse:
    channel_deliveries = Delivery.objects.filter(channel=channel).select_related("channel")
    context: dict[str, Any] = {
        "channel": channel,
        "kind": kinds().get(channel.kind),
        "leads_to": _leads_to(channel),
        "deliveries": with_tries(channel_deliveries).order_by("-created_at", "-id")[:SHOWN],
        "secret": secret,
        **_rights(request),
    }
    if context["may_manage"]:
        context["hints"] = _labelled(channel, configure.hints(channel))
        context["shown"] = _labelled(channel, channel.config)
    return render(request, "notify/channel.html", context)


def _labelled(channel: Channel, values: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return what is kept of a channel with the words that its form has for it; without what is empty."""
    kind = kinds().get(channel.kind)
    labels = {field.name: field.label for field in kind.fields} if kind else {}
    return [(labels.get(name, f"Secret, {name}"), value) for name, value in values.items() if value]


def _label(channel: Channel) -> str:
    kind = kinds().get(channel.kind)
    return kind.label if kind else channel.kind


def _leads_to(channel: Channel) -> str:
    kind = kinds().get(channel.kind)
    return kind.describe(channel.config) if kind else ""


def _rights(request: ProjectRequest) -> dict[str, bool]:
    return {"may_manage": may(request.membership, "manage_channels")}
