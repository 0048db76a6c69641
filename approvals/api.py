"""The gate for agents that run elsewhere: ask, wait, claim, report, withdraw."""

import json
from typing import Any, ClassVar
from uuid import UUID

from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agentops.accounts.idempotency import HEADER, PARAMETER, caller_of, idempotent, key_of
from agentops.accounts.project_view import PAGING, ProjectView
from agentops.accounts.scoped import get_scoped_or_404
from agentops.web.api import StrictJSONParser
from agentops.web.problems import problem
from approvals import queries, services, wire
from approvals.api_fields import (
    ApprovalOut,
    ApprovalQuery,
    BriefOut,
    GrantedOut,
    ProposalIn,
    ProposalOut,
    ResultIn,
    WaitQuery,
)
from approvals.callbacks import secret_of
from approvals.models import Approval, Status
from traces.ids import trace_key

READ = ("read", "gate")
CLAIM_KEY = OpenApiParameter(
    HEADER, str, OpenApiParameter.HEADER, required=True, description="same key within 10 minutes: same answer"
)


class GateView(ProjectView):
    """What the views of the gate share: an id leads to an approval of this project, or nowhere."""

    scope: ClassVar[str | tuple[str, ...]] = "gate"
    parser_classes = [StrictJSONParser]

    def approval(self, approval_id: str | UUID) -> Approval:
        try:
            key = UUID(str(approval_id))
        except ValueError:
            raise Http404 from None
        return get_scoped_or_404(Approval.objects.whole(), self.project, pk=key)

    def given(self, kind: type[serializers.Serializer[Any]]) -> dict[str, Any]:
        """Return the checked body. Raises ValidationError."""
        checked = kind(data=self.request.data)
        checked.is_valid(raise_exception=True)
        return dict(checked.validated_data)

    def answer(self, approval: Approval, status: int = 200) -> Response:
        return Response(wire.full(self.approval(approval.pk)), status=status)


class ApprovalList(GateView):
    scope = READ
    scopes: ClassVar[dict[str, str]] = {"POST": "gate"}

    @extend_schema(parameters=[ApprovalQuery, *PAGING], responses=BriefOut(many=True))
    def get(self, request: Request) -> Response:
        """List approvals, newest first. One query."""
        wanted = self.query(ApprovalQuery)
        rows = queries.approvals(self.project, status=wanted["status"], run=wanted["run"] or "")
        page = self.page(rows, by=("-created_at", "-id"))
        return Response({"results": [wire.brief(approval) for approval in page], "next": page.next})

    @extend_schema(parameters=[PARAMETER], request=ProposalIn, responses={201: ProposalOut})
    def post(self, request: Request) -> HttpResponseBase:
        """Ask whether this tool call may be made. Answered at once when no person has to decide."""
        return _with_secret(self._ask(request))

    @idempotent
    def _ask(self, request: Request) -> HttpResponseBase:
        given = self.given(ProposalIn)
        key, said = self.asked.api_key, given.pop("trace_id")
        trace_id, external = trace_key(said) if said else (None, None)
        given["agent"] = given["agent"] or (key.name if key else "")
        who: dict[str, Any] = {
            "requester": self.asked.user,
            "key": key,
            "trace_id": trace_id,
            "external_trace_id": external,
        }
        try:
            approval = services.ask(self.project, services.Proposal(**given, **who))
        except services.ProposalError as error:
            raise serializers.ValidationError({error.pointer.lstrip("/"): str(error)}) from None
        body = wire.full(self.approval(approval.pk))
        return Response({**body, "callback_url": approval.callback_url or None}, status=201)


class ApprovalDetail(GateView):
    scope = READ

    @extend_schema(parameters=[WaitQuery], responses=ApprovalOut)
    def get(self, request: Request, approval_id: str) -> Response:
        """Return one approval; with `wait`, as soon as it is decided. One query.

        The waiting itself is done where it costs no thread, see approvals/waiting.py.
        """
        self.query(WaitQuery)
        return Response(wire.full(self.approval(approval_id)))


class ApprovalClaim(GateView):
    @extend_schema(parameters=[CLAIM_KEY], request=None, responses=GrantedOut)
    def post(self, request: Request, approval_id: str) -> HttpResponseBase:
        """Take an approved action, once, right before executing it. Execute exactly what this answers.

        409 when it is not approved, not any more, or claimed before (`claimed_at`).
        """
        approval, key = self.approval(approval_id), key_of(request)
        if key is None:
            raise serializers.ValidationError({HEADER: "Send one, made and kept before the claim."})
        if approval.action.run_id:
            return _of_a_run()
        try:
            # Not the usual record of answered calls: a claim is answered again for ten minutes only.
            granted = services.claim(approval, key=f"{caller_of(self.asked)} {key}")
        except services.ClaimedError as error:
            return problem(409, detail=str(error), claimed_at=error.claimed_at)
        except services.StoppedError:
            services.deny_stopped(approval)
            ended = self.approval(approval_id)
            return problem(409, detail=services.how_it_ended(ended), approval_status=ended.status)
        except services.NotApprovedError as error:
            return problem(409, detail=str(error), approval_status=error.approval.status)
        except services.StaleError as error:
            services.supersede(approval.pk)
            return problem(409, detail=f"{error} Ask again.", approval_status=self.approval(approval_id).status)
        return Response({"arguments": granted.arguments, "digest": granted.digest})


class ApprovalResult(GateView):
    @extend_schema(parameters=[PARAMETER], request=ResultIn, responses=ApprovalOut)
    @idempotent
    def post(self, request: Request, approval_id: str) -> HttpResponseBase:
        """Report what became of a claimed action. 409 when it was not claimed, or something else was reported."""
        approval = self.approval(approval_id)
        given = self.given(ResultIn)
        if approval.action.run_id:
            return _of_a_run()
        try:
            services.report(approval.pk, **given)
        except services.OutcomeError as error:
            return problem(409, detail=str(error), action_status=approval.action.status)
        return self.answer(approval)


class ApprovalCancel(GateView):
    @extend_schema(parameters=[PARAMETER], request=None, responses=ApprovalOut)
    @idempotent
    def post(self, request: Request, approval_id: str) -> HttpResponseBase:
        """Take back what waits, or was approved and not claimed. 409 when it ended otherwise."""
        approval = self.approval(approval_id)
        who = self.asked.api_key.name if self.asked.api_key else str(self.asked.user)
        if services.cancel(approval, comment=f"Taken back by {who}."):
            return self.answer(approval)
        fresh = self.approval(approval_id)
        if fresh.status == Status.CANCELLED:
            return self.answer(fresh)
        return problem(409, detail=_why_not_cancelled(fresh), approval_status=fresh.status)


def _with_secret(answer: HttpResponseBase) -> HttpResponseBase:
    """Add the secret of the callback, which is in no record of answered calls, to a first answer as to a repeated."""
    if answer.status_code != 201:
        return answer
    body = answer.data if isinstance(answer, Response) else json.loads(answer.content)  # type: ignore[attr-defined]
    if body.get("callback_url") is None:
        return answer
    return Response({**body, "callback_secret": secret_of(str(body["id"]))}, status=201, headers=_replayed(answer))


def _replayed(answer: HttpResponseBase) -> dict[str, str]:
    name = "Idempotency-Replayed"
    return {name: answer.headers[name]} if name in answer.headers else {}


def _of_a_run() -> HttpResponse:
    return problem(409, detail="This is an action of the built-in agent, which executes it itself.")


def _why_not_cancelled(approval: Approval) -> str:
    if approval.used_at:
        return "It was claimed: report its result."
    return services.how_it_ended(approval)
