"""The API of runs: start one, list them, look at one, cancel it."""

from typing import Any, ClassVar
from uuid import UUID

from django.http import Http404
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import APIException, PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from agentops.accounts.idempotency import PARAMETER, idempotent
from agentops.accounts.project_view import CONTEXT, PAGING, ProjectView
from agentops.accounts.scoped import get_scoped_or_404
from agentops.runtime import budget, endings, queries, registry, services
from agentops.runtime.models import Run
from agentops.runtime.sandbox.scenarios import scenarios
from agentops.runtime.states import RunStatus


class ConflictError(APIException):
    status_code = 409


class RunIn(serializers.Serializer[Any]):
    agent = serializers.CharField(max_length=200)
    input = serializers.CharField(max_length=services.LONGEST_INPUT)
    scenario = serializers.CharField(max_length=200, required=False, allow_null=True, default=None)
    session_id = serializers.CharField(max_length=200, required=False, default="")

    def validate_agent(self, value: str) -> str:
        if value not in registry.AGENTS:
            raise serializers.ValidationError(f"must be one of {', '.join(registry.AGENTS)}")
        return value

    def validate_scenario(self, value: str | None) -> str | None:
        if value is not None and value not in scenarios():
            raise serializers.ValidationError(f"must be one of {', '.join(scenarios())}")
        return value


class RunQuery(serializers.Serializer[Any]):
    status = serializers.ChoiceField(choices=[str(one) for one in RunStatus], required=False, default="")


class RunOut(serializers.ModelSerializer[Run]):
    trace_id = serializers.CharField(source="trace_id.hex", help_text="32 lower-case hex digits")
    scenario = serializers.SerializerMethodField()
    url = serializers.SerializerMethodField()

    class Meta:
        model = Run
        fields = [
            "id", "status", "agent", "scenario", "input", "reason", "trace_id", "session_id", "created_at",
            "started_at", "ended_at", "url",
        ]  # fmt: skip

    def get_scenario(self, run: Run) -> str | None:
        return run.scenario or None

    def get_url(self, run: Run) -> str:
        return str(CONTEXT["base_url"] + run.get_absolute_url())


class ActionOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    turn = serializers.IntegerField()
    tool_name = serializers.CharField(source="tool")
    arguments = serializers.JSONField(source="runs_with")
    status = serializers.CharField()
    risk = serializers.CharField(help_text="as the tool's author says; the policy decides")
    approval_id = serializers.UUIDField(allow_null=True)
    attempts = serializers.IntegerField(source="attempt")
    result = serializers.JSONField()
    started_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)


class CompensationOut(serializers.Serializer[Any]):
    status = serializers.CharField()
    attempts = serializers.IntegerField()
    last_error = serializers.CharField()
    ended_at = serializers.DateTimeField(allow_null=True)


class EffectOut(serializers.Serializer[Any]):
    action_id = serializers.UUIDField(source="id")
    tool_name = serializers.CharField(source="tool")
    arguments = serializers.JSONField(source="runs_with")
    status = serializers.CharField()
    effect = serializers.CharField(help_text="idempotent, probeable, transactional or unsafe")
    compensation = CompensationOut(allow_null=True)


class WholeRunOut(RunOut):
    actions = ActionOut(many=True)
    effects = EffectOut(many=True)
    budget = serializers.DictField(help_text="steps, tokens, cost_usd and wall_s, each with used and limit")

    class Meta(RunOut.Meta):
        fields = [*RunOut.Meta.fields, "actions", "effects", "budget"]


def whole(run: Run) -> dict[str, Any]:
    """Return a run with what it did, what became of that, and what it has used. Three queries."""
    calls = queries.calls_of(run)
    spent = run.spent(endings.worked_s(run, run.ended_at or endings.now(run)))
    return {
        **RunOut(run).data,
        "actions": ActionOut(calls, many=True).data,
        "effects": EffectOut(queries.effects_in(calls), many=True).data,
        "budget": budget.table(run.budget, spent),
    }


class RunView(ProjectView):
    """What the views of one run share."""

    def run_of(self, run_id: str) -> Run:
        try:
            key = UUID(run_id)
        except ValueError:
            raise Http404 from None
        return get_scoped_or_404(Run, self.project, pk=key)


class RunList(ProjectView):
    scopes: ClassVar[dict[str, str]] = {"GET": "read", "POST": "run"}

    @extend_schema(parameters=[RunQuery, *PAGING], responses=RunOut(many=True))
    def get(self, request: Request) -> Response:
        """List runs, newest first. One query."""
        rows = queries.runs(self.project, **self.query(RunQuery))
        page = self.page(rows, by=("-created_at", "-id"))
        return Response({"results": RunOut(page.results, many=True).data, "next": page.next})

    @extend_schema(parameters=[PARAMETER], request=RunIn, responses={201: RunOut})
    @idempotent
    def post(self, request: Request) -> HttpResponseBase:
        """Start a run of a built-in agent; a scenario lets a script answer in the model's place."""
        given = RunIn(data=request.data)
        given.is_valid(raise_exception=True)
        if given.validated_data["scenario"] and not services.may_play(self.project):
            raise PermissionDenied("Scenarios are played in sandbox projects only: here a real model answers.")
        run = services.start_run(self.project, by=self.asked.user, request=self.asked, **given.validated_data)
        return Response(RunOut(run).data, status=201)


class RunDetail(RunView):
    @extend_schema(responses=WholeRunOut)
    def get(self, request: Request, run_id: str) -> Response:
        """Return one run: what it wanted, what it did, how that is undone, and what it has used."""
        return Response(whole(self.run_of(run_id)))


class RunCancel(RunView):
    scope: ClassVar[str] = "run"

    @extend_schema(parameters=[PARAMETER], request=None, responses=WholeRunOut)
    @idempotent
    def post(self, request: Request, run_id: str) -> HttpResponseBase:
        """Let a run start nothing new and undo what it can. 409 when it has ended."""
        run = self.run_of(run_id)
        try:
            services.cancel_run(run, by=self.asked.user, request=self.asked)
        except services.AlreadyEndedError as error:
            raise ConflictError(str(error)) from None
        return Response(whole(run))
