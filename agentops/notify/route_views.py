"""The page that says which channel gets what, and where admins change it."""

from uuid import UUID

from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from agentops.accounts.policy import may, requires
from agentops.accounts.request import ProjectRequest
from agentops.accounts.scoped import get_scoped_or_404
from agentops.notify import routing
from agentops.notify.forms import RouteForm
from agentops.notify.models import Channel, ChannelQuerySet, Route

INVALID = 422


@require_GET
def routing_page(request: ProjectRequest) -> HttpResponse:
    """List channels with what each takes. Two queries."""
    return _page(request, _form(request))


@require_POST
@requires("manage_channels")
def route_add(request: ProjectRequest) -> HttpResponse:
    form = _form(request, request.POST)
    if not form.is_valid():
        return _page(request, form, status=INVALID)
    routing.add_route(**form.cleaned_data, by=request.user, request=request)
    return redirect("notify:routing")


@require_POST
@requires("manage_channels")
def route_remove(request: ProjectRequest, pk: UUID) -> HttpResponse:
    route = Route.objects.filter(pk=pk, channel__in=_channels(request)).select_related("channel").first()
    if route is None:
        raise Http404
    routing.remove_route(route, by=request.user, request=request)
    return redirect("notify:routing")


@require_POST
@requires("manage_channels")
def channel_takes(request: ProjectRequest, pk: UUID) -> HttpResponse:
    """Let a channel take everything (`all`), or what its routes let through."""
    channel = get_scoped_or_404(Channel.objects.for_people(), request.project, pk=pk)
    routing.set_takes_all(channel, request.POST.get("takes") == "all", by=request.user, request=request)
    return redirect("notify:routing")


@require_POST
@requires("manage_channels")
def fallback_choose(request: ProjectRequest) -> HttpResponse:
    """Choose the channel that hears what others could not deliver; an empty one is the feed alone."""
    chosen = request.POST.get("channel") or None
    channel = get_scoped_or_404(Channel.objects.for_people(), request.project, pk=chosen) if chosen else None
    routing.set_fallback(request.project, channel, by=request.user, request=request)
    return redirect("notify:routing")


def _channels(request: ProjectRequest) -> ChannelQuerySet:
    return Channel.objects.of(request.project).for_people().order_by("name")


def _form(request: ProjectRequest, data: QueryDict | None = None) -> RouteForm:
    return RouteForm(list(_channels(request).prefetch_related("routes")), data)


def _page(request: ProjectRequest, form: RouteForm, status: int = 200) -> HttpResponse:
    channels = form.channels.values()
    context = {"channels": channels, "form": form, "may_manage": may(request.membership, "manage_channels")}
    return render(request, "notify/routing.html", context, status=status)
