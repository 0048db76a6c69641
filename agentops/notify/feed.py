"""The feed: what a project was told, in the product itself, with what each member has read of it."""

from datetime import UTC, datetime

from django.db import transaction
from django.http import HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_GET, require_POST

from agentops.accounts.models import Membership
from agentops.accounts.request import ProjectRequest
from agentops.accounts.scoped import get_scoped_or_404
from agentops.notify import queries
from agentops.notify.models import FeedItem, FeedMark, FeedRead
from agentops.web.keyset import CursorError, keyset_page
from agentops.web.pages import is_part_wanted, render_page

ROWS = 50
BAD_CURSOR = "The cursor is not one of this list."


@require_GET
def feed(request: ProjectRequest) -> HttpResponse:
    """List what was told, newest first. Three queries; one for the part that says what is new since `since`."""
    items = FeedItem.objects.of(request.project)
    since = _moment(request.GET.get("since", ""))
    if since and is_part_wanted(request):
        new = items.filter(created_at__gt=since)[: queries.COUNTED].count()
        return render_page(request, "notify/feed.html", {"new": new, "since": since}, partial="news")
    after = request.GET.get("after")
    try:
        page = keyset_page(items.with_read(request.membership), after=after, limit=ROWS, by=("-created_at", "-id"))
    except CursorError:
        return HttpResponseBadRequest(BAD_CURSOR)
    context = {
        "page": page,
        "since": page.results[0].created_at if page.results and not after else None,
        "unread": queries.unread(request.membership),
        "most": queries.COUNTED,
        "troubled": queries.troubled(request.project),
    }
    return render_page(request, "notify/feed.html", context)


@require_POST
def read(request: ProjectRequest) -> HttpResponse:
    """Mark one item as read and open what it is about, or mark all that were there up to `until`."""
    if until := _moment(request.POST.get("until", "")):
        read_until(request.membership, until)
        return redirect("notify:feed")
    item = get_scoped_or_404(FeedItem, request.project, pk=request.POST.get("item") or None)
    FeedRead.objects.get_or_create(member=request.membership, item=item)
    return redirect(item.url if item.is_link and request.POST.get("open") else "notify:feed")


@transaction.atomic
def read_until(member: Membership, until: datetime) -> None:
    """Move the member's mark forward; what was read one by one before it need not be remembered."""
    FeedMark.objects.get_or_create(member=member, defaults={"read_until": until})
    FeedMark.objects.filter(member=member, read_until__lt=until).update(read_until=until)
    FeedRead.objects.filter(member=member, item__created_at__lte=until).delete()


def _moment(text: str) -> datetime | None:
    """Return the moment in UTC; None for what is no moment, and for one that falls out of the calendar there."""
    try:
        moment = parse_datetime(text)
        return moment.astimezone(UTC) if moment and moment.tzinfo else None
    except (ValueError, OverflowError):
        return None
