"""The API of findings and alerts."""

from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

from django.http import Http404
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response

from agentops.accounts.idempotency import PARAMETER, idempotent
from agentops.accounts.project_view import CONTEXT, PAGING, ProjectView
from agentops.accounts.scoped import get_scoped_or_404
from traces.alerts import queries, services
from traces.alerts.models import Alert, AlertState, Verdict
from traces.detectors.models import Finding

JUDGED = [Verdict.TRUE_POSITIVE.value, Verdict.FALSE_POSITIVE.value]


class ConflictError(APIException):
    status_code = 409


class FindingQuery(serializers.Serializer[Any]):
    trace = serializers.CharField(required=False, default="", max_length=200)


class FindingOut(serializers.ModelSerializer[Finding]):
    trace_id = serializers.CharField(source="trace.id_hex", help_text="32 lower-case hex digits")

    class Meta:
        model = Finding
        fields = [
            "id", "trace_id", "pattern", "kind", "severity", "state", "explanation", "next_step", "tool_name",
            "onset_span_id", "evidence", "onset_at", "received_at", "detected_at", "backfill", "shadow",
        ]  # fmt: skip


class AlertQuery(serializers.Serializer[Any]):
    state = serializers.ChoiceField(choices=AlertState.values, required=False, default="")
    pattern = serializers.CharField(required=False, default="", max_length=200)
    trace = serializers.CharField(required=False, default="", max_length=200)
    drill = serializers.BooleanField(
        required=False, default=None, allow_null=True, help_text="only those of drills, or only the others"
    )


class AlertOut(serializers.ModelSerializer[Alert]):
    trace_id = serializers.CharField(source="last_trace.id_hex", default=None, help_text="the last one it happened in")
    first_trace_id = serializers.CharField(source="first_trace.id_hex", default=None)
    occurrence = serializers.IntegerField(source="number", help_text="from the second on it is a regression")
    acknowledged_by = serializers.CharField(allow_null=True)
    resolved_by = serializers.CharField(allow_null=True)
    silenced_until = serializers.DateTimeField(allow_null=True, help_text="null where no silence covers it now")
    drill = serializers.SerializerMethodField(help_text="raised by a drill: nothing failed, no person was told")
    url = serializers.SerializerMethodField()

    class Meta:
        model = Alert
        fields = [
            "id", "pattern", "severity", "state", "title", "explanation", "next_step", "agent", "tool_name", "trace_id",
            "first_trace_id", "findings", "retracted", "occurrence", "onset_at", "received_at", "detected_at",
            "alerted_at", "first_attempt_at", "delivered_at", "acknowledged_at", "acknowledged_by",
            "acknowledged_until", "resolved_at", "resolved_by", "verdict", "note", "silenced_until", "flapping_since",
            "drill", "url",
        ]  # fmt: skip

    def get_drill(self, alert: Alert) -> bool:
        return alert.drill_id is not None

    def get_url(self, alert: Alert) -> str:
        return str(self.context["base_url"] + alert.get_absolute_url())


class AcknowledgeIn(serializers.Serializer[Any]):
    expires_in_s = serializers.IntegerField(
        min_value=60,
        max_value=int(services.LONGEST_HOLD.total_seconds()),
        required=False,
        help_text="then it is open again, and told again; 14,400 if not given",
    )


class ResolveIn(serializers.Serializer[Any]):
    verdict = serializers.ChoiceField(choices=JUDGED)
    note = serializers.CharField(max_length=2_000, allow_blank=True, default="")


class FindingList(ProjectView):
    @extend_schema(parameters=[FindingQuery, *PAGING], responses=FindingOut(many=True))
    def get(self, request: Request) -> Response:
        """List findings, newest first by receipt. One query."""
        page = self.page(queries.findings(self.project, **self.query(FindingQuery)))
        return Response({"results": FindingOut(page.results, many=True).data, "next": page.next})


class AlertList(ProjectView):
    @extend_schema(parameters=[AlertQuery, *PAGING], responses=AlertOut(many=True))
    def get(self, request: Request) -> Response:
        """List alerts, newest first by receipt. One query."""
        page = self.page(queries.alerts(self.project, queries.AlertFilters(**self.query(AlertQuery))))
        return Response({"results": AlertOut(page.results, many=True, context=CONTEXT).data, "next": page.next})


class OneAlert(ProjectView):
    """What the views of one alert share."""

    def alert(self, alert_id: str) -> Alert:
        try:
            key = UUID(alert_id)
        except ValueError:
            raise Http404 from None
        return get_scoped_or_404(queries.with_people(Alert.objects.all()), self.project, pk=key)

    def answer(self, alert: Alert) -> Response:
        return Response(AlertOut(self.alert(str(alert.pk)), context=CONTEXT).data)


class AlertDetail(OneAlert):
    @extend_schema(responses=AlertOut)
    def get(self, request: Request, alert_id: str) -> Response:
        """Return one alert. One query."""
        return Response(AlertOut(self.alert(alert_id), context=CONTEXT).data)


class AlertAcknowledge(OneAlert):
    scope: ClassVar[str] = "manage"

    @extend_schema(parameters=[PARAMETER], request=AcknowledgeIn, responses=AlertOut)
    @idempotent
    def post(self, request: Request, alert_id: str) -> HttpResponseBase:
        """Take an open alert on for a while. 409 when somebody else has it, or it is resolved."""
        alert = self.alert(alert_id)
        # A call without anything to say is taken whatever it says of its body.
        given = AcknowledgeIn(data=request.data if "json" in (request.content_type or "") else {})
        given.is_valid(raise_exception=True)
        seconds = given.validated_data.get("expires_in_s")
        lasting = timedelta(seconds=seconds) if seconds else None
        try:
            services.acknowledge(alert, by=self.asked.user, lasting=lasting, request=self.asked)
        except services.AlreadyDoneError as error:
            raise ConflictError(str(error)) from None
        return self.answer(alert)


class AlertResolve(OneAlert):
    scope: ClassVar[str] = "manage"

    @extend_schema(parameters=[PARAMETER], request=ResolveIn, responses=AlertOut)
    @idempotent
    def post(self, request: Request, alert_id: str) -> HttpResponseBase:
        """Close an alert with a verdict. 409 when it is resolved already."""
        alert = self.alert(alert_id)
        given = ResolveIn(data=request.data)
        given.is_valid(raise_exception=True)
        try:
            services.resolve(alert, by=self.asked.user, request=self.asked, **given.validated_data)
        except services.AlreadyDoneError as error:
            raise ConflictError(str(error)) from None
        return self.answer(alert)
