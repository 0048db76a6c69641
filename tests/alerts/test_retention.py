"""What becomes of findings and alerts when their traces are too old to be kept."""

from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F

from tests.alerts.builders import looping, run_jobs
from tests.builders import make_project
from tests.traces.builders import send
from traces.alerts.models import Alert, AlertFinding
from traces.alerts.queries import alerts
from traces.detectors.models import AlertJob, DetectorState, Finding
from traces.models import Trace
from traces.retention import remove_old

pytestmark = pytest.mark.django_db


def test_findings_go_with_their_trace_and_the_alert_stays(settings: Any) -> None:
    project = make_project()
    send(project, *looping("old"))
    run_jobs()
    AlertJob.objects.touch([AlertJob(finding=Finding.objects.get())])
    Trace.objects.update(trace_day=F("trace_day") - timedelta(days=settings.ENV.agentops_retention_days + 1))
    remove_old()
    for model in (Trace, Finding, AlertFinding, AlertJob, DetectorState):
        assert not model.objects.exists(), model
    (alert,) = alerts(project)
    assert (alert.findings, alert.last_trace, alert.first_trace) == (1, None, None)
    assert Alert.objects.get().title == "support-desk: search_database gave the same answer 6 times in a row"
