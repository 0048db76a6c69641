"""The API of the time to detect: figures by pattern and severity, the legs of the way, and what people did after it."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agentops.accounts.project_view import ProjectView
from traces.alerts import drills, legs, mttd, precision
from traces.alerts.contained import contained
from traces.alerts.models import OBJECTIVE

WEEK = timedelta(days=7)


class FiguresOut(serializers.Serializer[mttd.Figures]):
    n = serializers.IntegerField()
    mean_s = serializers.FloatField(allow_null=True)
    p50_s = serializers.FloatField(allow_null=True)
    p95_s = serializers.FloatField(allow_null=True)
    max_s = serializers.FloatField(allow_null=True)
    misses = serializers.IntegerField(help_text="told after the cap or never; counted at the cap")
    late = serializers.IntegerField(help_text="what shows it reached us when the objective was over")
    receipt_to_told_p50_s = serializers.FloatField(allow_null=True)
    receipt_to_told_p95_s = serializers.FloatField(allow_null=True)
    own_p50_s = serializers.FloatField(allow_null=True, help_text="of drills: from the onset that the detector gave")
    own_p95_s = serializers.FloatField(allow_null=True)


class SeverityFiguresOut(FiguresOut):
    severity = serializers.CharField(help_text="empty for a drill that was missed")


class LegOut(serializers.Serializer[legs.Leg]):
    begins = serializers.CharField(help_text="a time point: T0, T2, T4, T5, T6")
    ends = serializers.CharField()
    name = serializers.CharField()
    n = serializers.IntegerField()
    p50_s = serializers.FloatField(allow_null=True)
    p95_s = serializers.FloatField(allow_null=True)


class TakenOut(serializers.Serializer[legs.Taken]):
    n = serializers.IntegerField()
    p50_s = serializers.FloatField(allow_null=True)
    p95_s = serializers.FloatField(allow_null=True)
    waiting = serializers.IntegerField(help_text="for how many it has not happened yet")


class WholeFiguresOut(FiguresOut):
    severities = SeverityFiguresOut(many=True)
    legs = LegOut(many=True)
    acknowledged = TakenOut(
        help_text="MTTA: from told (T7) to acknowledged (T8), or resolved where nobody did that first"
    )
    resolved = TakenOut(help_text="MTTR: from told (T7) to resolved (T9)")


class PatternFiguresOut(WholeFiguresOut):
    pattern = serializers.CharField()


class DrillFiguresOut(serializers.Serializer[Any]):
    onset = serializers.CharField(help_text="who says when it began: drill, registered before the first step was sent")
    all = WholeFiguresOut()
    patterns = PatternFiguresOut(many=True)


class ContainedOut(FiguresOut):
    pattern = serializers.CharField()
    by = serializers.CharField(help_text="rule or person")


class PrecisionOut(serializers.Serializer[precision.Precision]):
    detector = serializers.CharField()
    pattern = serializers.CharField()
    n = serializers.IntegerField(help_text="verdicts of the last 90 days")
    right = serializers.IntegerField()
    share = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True, help_text="of the 95 % interval")
    high = serializers.FloatField(allow_null=True)
    demoted_at = serializers.DateTimeField(allow_null=True, help_text="what it finds is of low severity since then")


class MttdOut(serializers.Serializer[Any]):
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    onset = serializers.CharField(help_text="who says when it began: detector")
    objective_s = serializers.FloatField()
    cap_s = serializers.FloatField()
    all = WholeFiguresOut()
    patterns = PatternFiguresOut(many=True)
    drills = DrillFiguresOut(
        help_text="failures injected on purpose, of this project and by the clock; in no figure above"
    )
    contained = ContainedOut(many=True, help_text="from the onset to the moment the run was stopped, drills left out")
    backfill = serializers.IntegerField(help_text="findings of imported runs, in no figure")
    unalerted = serializers.IntegerField(help_text="findings older than the cap that came under no alert, in no figure")
    precision = PrecisionOut(many=True, help_text="by people's verdicts, whatever `since` says")


class MttdQuery(serializers.Serializer[Any]):
    since = serializers.DateTimeField(
        required=False, default=None, help_text="received at or after; 7 days ago if not given"
    )


class Mttd(ProjectView):
    @extend_schema(parameters=[MttdQuery], responses=MttdOut)
    def get(self, request: Request) -> Response:
        """Return the time from a failure's onset to a person who knows, by pattern; drills apart. Eight queries."""
        until = timezone.now()
        since = self.query(MttdQuery)["since"] or until - WEEK
        about = {"since": since, "until": until, "onset": "detector"}
        limits = {"objective_s": OBJECTIVE.total_seconds(), "cap_s": mttd.CAP.total_seconds()}
        found = _all_and_patterns(mttd.points(self.project, since))
        apart = {"onset": "drill", **_all_and_patterns(drills.points(self.project, since))}
        stopped = [
            {"pattern": pattern, "by": by, **asdict(mttd.figures(some))}
            for (pattern, by), some in contained(self.project, since).items()
        ]
        right = [_precision(pattern, one) for pattern, one in precision.standing(self.project)]
        beside = {"contained": stopped, **asdict(mttd.uncounted(self.project, since)), "precision": right}
        return Response({**about, **limits, **found, "drills": apart, **beside})


def _all_and_patterns(found: Sequence[mttd.Point]) -> dict[str, Any]:
    patterns = [{"pattern": pattern, **_whole(some)} for pattern, some in mttd.by_pattern(found).items()]
    return {"all": _whole(found), "patterns": patterns}


def _whole(found: Sequence[mttd.Point]) -> dict[str, Any]:
    severities = [
        {"severity": severity, **asdict(mttd.figures(some))} for severity, some in mttd.by_severity(found).items()
    ]
    return {
        **asdict(mttd.figures(found)),
        "severities": severities,
        "legs": [asdict(leg) for leg in legs.legs(found)],
        "acknowledged": asdict(legs.acknowledged(found)),
        "resolved": asdict(legs.resolved(found)),
    }


def _precision(pattern: str, one: precision.Precision) -> dict[str, Any]:
    about = {"detector": one.detector, "pattern": pattern, "n": one.n, "right": one.right}
    demoted_at = one.demotion.demoted_at if one.demotion else None
    return {**about, "share": one.share, "low": one.low, "high": one.high, "demoted_at": demoted_at}
