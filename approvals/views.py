"""The pages of this room: what waits for a decision, one approval, and the decision itself."""

from typing import Any
from uuid import UUID

import msgspec
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from agentops.accounts.request import ProjectRequest
from agentops.accounts.scoped import get_scoped_or_404
from agentops.web.pages import render_page
from agentops.web.problems import problem
from approvals import queries, services
from approvals.models import Approval
from approvals.wire import full

DECIDED = 50  # shown below what waits
JSON = "application/json"
REFUSALS: dict[type[Exception], int] = {
    services.DecisionError: 400,
    services.NotAllowedError: 403,
    services.AlreadyDecidedError: 409,
    services.StaleDigestError: 412,
}


@require_GET
def approval_list(request: ProjectRequest) -> HttpResponse:
    """Show what waits, by deadline, and what was decided last. Two queries."""
    decided = queries.approvals(request.project).exclude(decided_by=None).order_by("-created_at", "-id")[:DECIDED]
    context = {"waiting": list(queries.queue(request.project)), "decided": list(decided), "now": timezone.now()}
    return render_page(request, "approvals/list.html", context)


@require_GET
def approval_detail(request: ProjectRequest, approval_id: UUID) -> HttpResponse:
    """Show exactly what would happen, why it was asked, and who may decide. Changes nothing, however it is opened."""
    approval = _approval(request, approval_id)
    context: dict[str, Any] = {"approval": approval, "action": approval.action, "now": timezone.now()}
    context["alike"] = queries.last_alike(approval)
    context["refusal"] = _refusal(request, approval)
    return render_page(request, "approvals/approval.html", context)


@require_POST
def approval_decide(request: ProjectRequest, approval_id: UUID) -> HttpResponse:
    """Take a person's decision, and answer with the page, or with JSON where that is asked for."""
    approval = _approval(request, approval_id)
    if request.api_key is not None:
        return _refuse(request, approval, 403, "An API key never decides: a signed-in person does.")
    try:
        services.decide(approval, _given(request), member=request.membership, request=request)
    except tuple(REFUSALS) as error:
        return _refuse(request, approval, REFUSALS[type(error)], str(error), getattr(error, "pointer", ""))
    if _wants_json(request):
        return JsonResponse(full(_approval(request, approval_id)))
    messages.success(request, _said(approval))
    return redirect(approval)


def _approval(request: ProjectRequest, approval_id: UUID) -> Approval:
    return get_scoped_or_404(Approval.objects.whole(), request.project, pk=approval_id)


def _given(request: HttpRequest) -> services.Given:
    """Read the form. Raises DecisionError."""
    sent, arguments = request.POST, None
    if text := sent.get("arguments", "").strip():
        try:
            arguments = msgspec.json.decode(text, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise services.DecisionError("/arguments", f"must be a JSON object: {error}") from None
    names = ("decision", "digest", "comment")
    return services.Given(arguments=arguments, **{name: sent.get(name, "").replace("\x00", "") for name in names})


def _refusal(request: ProjectRequest, approval: Approval) -> str:
    """Say why this person may not decide on what waits; empty: they may, or nothing waits."""
    try:
        services.refuse_if_over(approval)
        services.check(approval, request.membership)
    except services.AlreadyDecidedError:
        return ""
    except services.NotAllowedError as error:
        return str(error)
    return ""


def _refuse(request: ProjectRequest, approval: Approval, status: int, said: str, pointer: str = "") -> HttpResponse:
    if _wants_json(request) or request.api_key is not None:
        return problem(status, detail=said, errors=[{"pointer": pointer, "detail": said}] if pointer else [])
    approval = _approval(request, approval.pk)
    context = {"approval": approval, "action": approval.action, "now": timezone.now(), "error": said}
    context |= {"alike": queries.last_alike(approval), "refusal": _refusal(request, approval)}
    return render_page(request, "approvals/approval.html", context, status=status)


def _wants_json(request: HttpRequest) -> bool:
    return request.get_preferred_type([JSON, "text/html"]) == JSON and JSON in request.headers.get("Accept", "")


def _said(approval: Approval) -> str:
    if approval.status == "pending":
        return "Edited. Somebody else has to approve it now."
    return f"{approval.get_status_display()}."
