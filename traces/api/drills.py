"""The API of drills: whoever injects a failure says so first."""

from typing import Any, ClassVar

from django.http.response import HttpResponseBase
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agentops.accounts.idempotency import PARAMETER, idempotent
from agentops.accounts.project_view import ProjectView
from traces.api.alerts import ConflictError
from traces.drills import services
from traces.drills.models import Drill


class DrillIn(serializers.Serializer[Any]):
    pattern = serializers.CharField(max_length=200)
    trace_id = serializers.CharField(max_length=200, help_text="of the run that will be injected")
    onset_at = serializers.DateTimeField(required=False, help_text="when the failure begins; now if not given")


class DrillOut(serializers.ModelSerializer[Drill]):
    trace_id = serializers.CharField(source="trace_id.hex", help_text="32 lower-case hex digits")

    class Meta:
        model = Drill
        fields = ["id", "pattern", "trace_id", "onset_at", "registered_at"]


class Drills(ProjectView):
    scope: ClassVar[str] = "manage"

    @extend_schema(parameters=[PARAMETER], request=DrillIn, responses={201: DrillOut})
    @idempotent
    def post(self, request: Request) -> HttpResponseBase:
        """Register a drill before its first step is sent.

        What its trace raises goes to the loopback channel alone and is counted apart. 400 for a pattern that no
        detector recognises, 409 when steps of the trace are here already.
        """
        given = DrillIn(data=request.data)
        given.is_valid(raise_exception=True)
        about = {"onset_at": timezone.now(), **given.validated_data}
        try:
            drill = services.register(self.project, request=self.asked, **about)
        except services.NoDrillError as error:
            raise serializers.ValidationError({error.field: str(error)}) from None
        except services.TooLateError as error:
            raise ConflictError(str(error)) from None
        return Response(DrillOut(drill).data, status=201)
