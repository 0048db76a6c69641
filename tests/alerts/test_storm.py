"""A storm of findings of one cause: every channel, of whatever kind, hears of it three times at most.

STORM says how many there are.
"""

import os
from typing import Any

import pytest
from django.utils import timezone

from agentops.notify.channels.base import kinds
from agentops.notify.models import LOOPBACK, Channel, Delivery, FeedItem
from agentops.notify.sealing import seal
from tests.alerts.builders import make_finding, make_trace, run_jobs
from tests.builders import make_project
from traces.alerts.models import Alert, AlertFinding
from traces.detectors.models import SEVERITIES, AlertJob, Finding

pytestmark = pytest.mark.django_db

FINDINGS = int(os.environ.get("STORM", "1200"))
KINDS = sorted(kinds().keys() - {LOOPBACK})  # that one is for drills


def add(like: Finding, count: int, **fields: Any) -> None:
    """Add findings like one, each with the job that brings it to its alert."""
    names = [field.attname for field in Finding._meta.concrete_fields if field.attname not in {"id", "onset_span_id"}]
    about = {name: getattr(like, name) for name in names} | fields
    made = Finding.objects.bulk_create(
        [Finding(onset_span_id=f"{fields['severity']}-{number}", **about) for number in range(count)]
    )
    AlertJob.objects.bulk_create([AlertJob(finding=finding, due_at=timezone.now()) for finding in made])


def test_findings_of_one_cause_that_grow_worse_are_three_messages_for_each_channel() -> None:
    project = make_project()
    for kind in KINDS:
        Channel.objects.create(project=project, kind=kind, name=kind, sealed=seal({}))
    first = make_finding(project, make_trace(project), severity="low")
    for severity in SEVERITIES:
        add(first, FINDINGS // len(SEVERITIES), severity=severity)
        run_jobs("alert")
    assert AlertFinding.objects.filter(fate="alert").count() == Alert.objects.get().findings == FINDINGS
    assert not AlertJob.objects.exists()
    assert FeedItem.objects.count() == 3
    assert {kind: Delivery.objects.filter(channel__kind=kind).count() for kind in KINDS} == dict.fromkeys(KINDS, 3)
    assert not Delivery.objects.filter(gathers=True).exists()
