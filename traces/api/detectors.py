"""The API of detectors: what each is, and what the project has set for it."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agentops.accounts.project_view import ProjectView
from traces.tuning import queries


class ThresholdOut(serializers.Serializer[Any]):
    name = serializers.CharField(source="limit.name")
    unit = serializers.CharField(source="limit.unit")
    allowed = serializers.CharField(source="limit.allowed", help_text="its range, in words")
    default = serializers.FloatField(source="limit.default")
    value = serializers.FloatField(help_text="in this project")


class DetectorOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    pattern = serializers.CharField(source="kind.pattern")
    kinds = serializers.ListField(child=serializers.CharField(), source="kind.kinds")
    severity = serializers.CharField(source="kind.severity", help_text="unless a finding says otherwise")
    mode = serializers.CharField(help_text="on, off or shadow: what it finds is told to nobody")
    summary = serializers.CharField()
    about = serializers.SerializerMethodField(help_text="Definition, Input, Misses, Source")
    thresholds = ThresholdOut(many=True)
    findings = serializers.IntegerField(help_text="open ones that were found in the last 30 days")

    def get_about(self, one: queries.Tuned) -> dict[str, str]:
        return dict(one.parts)


class DetectorList(ProjectView):
    @extend_schema(responses=DetectorOut(many=True))
    def get(self, request: Request) -> Response:
        """List all detectors, by pattern, on one page. Four queries."""
        return Response({"results": DetectorOut(queries.tuned(self.project), many=True).data, "next": None})


class DetectorDetail(ProjectView):
    @extend_schema(responses=DetectorOut)
    def get(self, request: Request, name: str) -> Response:
        """Return one detector. Four queries."""
        return Response(DetectorOut(queries.tuned_or_404(self.project, name)).data)
