"""The pages of this room: what waits for a decision, one approval, and the decision itself."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from agentops.accounts.request import ProjectRequest
from agentops.accounts.scoped import get_scoped_or_404
from agentops.web.keyset import CursorError, KeysetPage, keyset_page
from agentops.web.pages import is_part_wanted, render_page
from agentops.web.problems import problem
from approvals import edit, pages, queries, services
from approvals.eligible import People
from approvals.models import Approval, Status
from approvals.wire import full

MOST_WAITING = 200  # drawn at once, the most urgent; the others follow as these are decided
ROWS = 50
TABS = ("waiting", "yours", "decided")
BY_DECISION = ("-decided_at", "-id")
JSON = "application/json"
GIVEN = ("decision", "digest", "comment", "typed")
REFUSALS: dict[type[Exception], int] = {
    services.DecisionError: 400,
    services.NotAllowedError: 403,
    services.AlreadyDecidedError: 409,
    services.StaleDigestError: 412,
}


@require_GET
def approval_list(request: ProjectRequest) -> HttpResponse:
    """Show what waits, by deadline, or what was decided, newest first. Three queries, four for what was decided.

    A part costs two, or one.
    """
    tab = request.GET.get("tab", "")
    context: dict[str, Any] = {"tab": tab if tab in TABS else TABS[0], "now": timezone.now()}
    if context["tab"] == "decided":
        context["page"] = _decided(request)
    if context["tab"] != "decided" or not is_part_wanted(request):
        context |= _queue(request, is_yours=tab == "yours")
    if not is_part_wanted(request):
        context["lately"] = queries.decided_lately(request.project)
    return render_page(request, "approvals/list.html", context, partial="rows")


def _queue(request: ProjectRequest, *, is_yours: bool) -> dict[str, Any]:
    """Return what waits, and how much of it is this member's to decide. Two queries."""
    found = list(queries.queue(request.project)[: MOST_WAITING + 1])
    people = People(request.project)
    rows = [pages.waiting(approval, people, request.membership) for approval in found[:MOST_WAITING]]
    mine = [row for row in rows if row.is_mine]
    return {
        "waiting": mine if is_yours else rows,
        "waiting_count": len(rows),
        "yours_count": len(mine),
        "has_more": len(found) > MOST_WAITING,
    }


def _decided(request: ProjectRequest) -> KeysetPage[Approval]:
    rows = queries.decided(request.project)
    try:
        return keyset_page(rows, after=request.GET.get("after"), limit=ROWS, by=BY_DECISION)
    except CursorError:
        return keyset_page(rows, after=None, limit=ROWS, by=BY_DECISION)


@require_GET
def approval_detail(request: ProjectRequest, approval_id: UUID) -> HttpResponse:
    """Show exactly what would happen, why it was asked, and who may decide. Changes nothing, however it is opened.

    Seven queries; four without a trace.
    """
    return _page(request, _approval(request, approval_id), is_edit="edit" in request.GET)


@require_POST
def approval_decide(request: ProjectRequest, approval_id: UUID) -> HttpResponse:
    """Take a person's decision, and answer with the page, or with JSON where that is asked for."""
    approval = _approval(request, approval_id)
    if request.api_key is not None:
        return _refuse(request, approval, 403, "An API key never decides: a signed-in person does.")
    try:
        services.decide(approval, _given(request, approval), member=request.membership, request=request)
    except tuple(REFUSALS) as error:
        return _refuse(request, approval, REFUSALS[type(error)], str(error), getattr(error, "pointer", ""))
    if _wants_json(request):
        return JsonResponse(full(_approval(request, approval_id)))
    messages.success(request, _said(approval))
    return redirect(approval)


def _approval(request: ProjectRequest, approval_id: UUID) -> Approval:
    return get_scoped_or_404(Approval.objects.whole(), request.project, pk=approval_id)


def _page(request: ProjectRequest, approval: Approval, *, status: int = 200, **more: Any) -> HttpResponse:
    context = {
        "approval": approval,
        "action": approval.action,
        "page": pages.page(approval, request.membership, request.POST if "edit" in request.POST else None),
        "now": timezone.now(),
        "status": status,
        **more,
    }
    return render_page(request, "approvals/approval.html", context, partial="outcome", status=status)


def _given(request: HttpRequest, approval: Approval) -> services.Given:
    """Read the form. Raises DecisionError."""
    sent = request.POST
    given = {name: sent.get(name, "").replace("\x00", "") for name in GIVEN}
    try:
        arguments = _arguments(sent, approval)
    except edit.EditError as error:
        raise services.DecisionError("/arguments", str(error)) from None
    return services.Given(arguments=arguments, is_edit="edit" in sent, **given)


def _arguments(sent: QueryDict, approval: Approval) -> dict[str, Any] | None:
    if sent.get("edit") == "fields":
        return edit.read(sent, approval.action)
    text = sent.get("arguments", "").strip()
    return edit.read_object(text) if text else None


def _refuse(request: ProjectRequest, approval: Approval, status: int, said: str, pointer: str = "") -> HttpResponse:
    """Answer with why not, and with the state as it is now."""
    if _wants_json(request) or request.api_key is not None:
        return problem(status, detail=said, errors=[{"pointer": pointer, "detail": said}] if pointer else [])
    more = {"error": said, "pointer": pointer, "comment": request.POST.get("comment", "")}
    return _page(request, _approval(request, approval.pk), status=status, is_edit="edit" in request.POST, **more)


def _wants_json(request: HttpRequest) -> bool:
    return request.get_preferred_type([JSON, "text/html"]) == JSON and JSON in request.headers.get("Accept", "")


def _said(approval: Approval) -> str:
    if approval.status == Status.PENDING:
        return "Edited. Somebody else has to approve it now."
    return f"{approval.get_status_display()}."
