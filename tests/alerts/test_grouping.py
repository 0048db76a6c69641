"""From a finding to its alert: one for a fingerprint, the first told at once, every finding counted once."""

from typing import Any

import pytest
from django.db import connection, transaction
from uuid_utils.compat import uuid7

from agentops.accounts.models import Project
from agentops.jobs.runner import run_due
from agentops.notify.models import Delivery, FeedItem
from tests.alerts.builders import looping, make_finding, make_trace, raise_one, run_jobs
from tests.builders import make_project, make_user
from tests.notify.builders import make_channel
from tests.traces.builders import send
from traces.alerts import told
from traces.alerts.grouping import bring
from traces.alerts.models import Alert, AlertFinding, AlertState, Fate, PastOccurrence, Verdict
from traces.alerts.services import resolve
from traces.detectors.models import AlertJob, Finding, FindingState

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


def the_alert() -> Alert:
    return Alert.objects.get()


def test_the_first_finding_opens_an_alert_and_is_told_at_once(project: Project) -> None:
    make_channel(project)
    finding = make_finding(project)
    bring(finding)
    alert = the_alert()
    assert (alert.state, alert.findings, alert.severity) == ("open", 1, "high")
    assert alert.title == "support-desk: search_database gave the same answer 3 times in a row"
    assert (alert.onset_at, alert.received_at, alert.detected_at) == (
        finding.onset_at,
        finding.received_at,
        finding.detected_at,
    )
    assert alert.first_trace == alert.last_trace == finding.trace
    delivery = Delivery.objects.get()
    assert (delivery.content().title, delivery.content().severity) == (alert.title, "high")
    assert delivery.content().url == f"/alerts/{alert.pk}"
    assert alert.delivered_at is None
    assert alert.alerted_at >= alert.detected_at


def test_without_a_channel_the_feed_is_where_people_are_told(project: Project) -> None:
    alert = raise_one(project)
    assert FeedItem.objects.get().title == alert.title
    assert alert.delivered_at is not None
    assert alert.first_attempt_at == alert.delivered_at


def test_followers_are_counted_and_told_nobody(project: Project) -> None:
    make_channel(project)
    first = make_trace(project)
    raise_one(project, first)
    onset = the_alert().onset_at
    last = make_trace(project)
    raise_one(project, last, explanation="It went on.")
    alert = the_alert()
    assert (alert.findings, alert.first_trace, alert.last_trace) == (2, first, last)
    assert alert.onset_at == onset
    assert alert.explanation == "It went on."
    assert Delivery.objects.count() == FeedItem.objects.count() == 1


def test_pattern_agent_and_tool_make_the_fingerprint(project: Project) -> None:
    other = make_trace(project, agent="refund-bot")
    raise_one(project)
    raise_one(project)
    raise_one(project, other)
    raise_one(project, tool_name="get_order")
    raise_one(project, pattern="bad_signature")
    raise_one(make_project())
    assert sorted(Alert.objects.values_list("findings", flat=True)) == [1, 1, 1, 1, 2]


def test_only_a_rise_to_high_or_critical_is_told_again_so_three_messages_are_the_most(project: Project) -> None:
    make_channel(project)
    for severity in ("low", "medium", "high", "medium", "high", "critical", "critical", "low"):
        raise_one(project, severity=severity)
    assert the_alert().severity == "critical"
    titles = [delivery.content().title for delivery in Delivery.objects.order_by("id")]
    assert [title.partition(":")[0] for title in titles] == ["support-desk", "Now high", "Now critical"]


@pytest.mark.parametrize(
    ("fields", "fate"),
    [
        ({"backfill": True}, Fate.BACKFILL),
        ({"kind": "provenance"}, Fate.ALONE),
        ({"kind": "schema_tolerated"}, Fate.ALONE),
        ({"state": FindingState.RETRACTED}, Fate.RETRACTED),
    ],
    ids=str,
)
def test_some_findings_raise_no_alert_and_join_none(project: Project, fields: dict[str, Any], fate: str) -> None:
    finding = make_finding(project, **fields)
    bring(finding)
    assert not Alert.objects.exists()
    assert not FeedItem.objects.exists()
    raise_one(project)
    bring(finding)
    assert the_alert().findings == 1
    assert AlertFinding.objects.get(finding=finding).fate == fate


def test_a_finding_that_grows_is_counted_once_and_its_alert_says_what_it_says(project: Project) -> None:
    finding = make_finding(project)
    bring(finding)
    Finding.objects.filter(pk=finding.pk).update(explanation="4 times.", tool_name="the_other_tool_of_a_cycle")
    finding.refresh_from_db()
    for _ in range(3):
        bring(finding)
    assert (the_alert().findings, the_alert().explanation) == (1, "4 times.")
    assert FeedItem.objects.count() == 1


def test_a_retracted_finding_resolves_its_alert_when_nothing_else_is_left(project: Project) -> None:
    make_channel(project)
    first, second = make_finding(project), make_finding(project)
    bring(first)
    bring(second)
    retract(first)
    bring(first)
    assert (the_alert().state, the_alert().retracted, the_alert().findings) == ("open", 1, 2)
    retract(second)
    retracted = the_alert()
    assert (retracted.state, retracted.verdict, retracted.retracted) == ("resolved", Verdict.RETRACTED, 2)
    assert retracted.resolved_by is None
    assert [d.content().kind for d in Delivery.objects.order_by("id")] == ["alert.opened", "alert.resolved"]


def test_a_retracted_finding_that_comes_back_opens_its_alert_again(project: Project) -> None:
    finding = make_finding(project)
    bring(finding)
    retract(finding)
    Finding.objects.filter(pk=finding.pk).update(state=FindingState.OPEN)
    finding.refresh_from_db()
    bring(finding)
    alert = the_alert()
    assert (alert.state, alert.number, alert.findings, alert.retracted) == ("open", 2, 1, 0)
    assert AlertFinding.objects.get().occurrence == 2


def retract(finding: Finding) -> None:
    Finding.objects.filter(pk=finding.pk).update(state=FindingState.RETRACTED)
    finding.refresh_from_db()
    bring(finding)


def test_a_new_finding_after_the_verdict_is_a_regression_with_a_clock_of_its_own(project: Project) -> None:
    make_channel(project)
    first = raise_one(project)
    resolve(first, by=make_user(), verdict=Verdict.TRUE_POSITIVE, note="The index was empty.")
    second = raise_one(project)
    assert second.pk == first.pk
    assert (second.state, second.number, second.findings, second.verdict) == ("open", 2, 1, "")
    assert second.onset_at > first.onset_at
    assert second.alerted_at > first.alerted_at
    assert (second.resolved_at, second.resolved_by, second.acknowledged_at) == (None, None, None)
    past = PastOccurrence.objects.get()
    assert (past.number, past.onset_at, past.alerted_at) == (1, first.onset_at, first.alerted_at)
    assert (past.verdict, past.note) == ("true_positive", "The index was empty.")
    assert Delivery.objects.count() == 2


def test_what_goes_on_after_the_verdict_is_no_regression(project: Project) -> None:
    finding = make_finding(project)
    bring(finding)
    resolve(the_alert(), by=make_user(), verdict=Verdict.FALSE_POSITIVE)
    Finding.objects.filter(pk=finding.pk).update(explanation="10 times.")
    bring(finding)
    retract(finding)
    alert = the_alert()
    assert (alert.state, alert.verdict, alert.number) == (AlertState.RESOLVED, "false_positive", 1)
    assert alert.retracted == 1


def test_steps_at_the_door_become_an_alert_by_the_jobs_alone(project: Project) -> None:
    send(project, *looping(calls=5))
    run_jobs()
    alert = the_alert()
    assert (alert.pattern, alert.agent, alert.tool_name) == ("tool_loop", "support-desk", "search_database")
    assert alert.findings == Finding.objects.count() == AlertFinding.objects.count() == 1
    assert not AlertJob.objects.exists()


def test_an_import_tells_nobody_unless_it_is_asked_to(project: Project) -> None:
    make_channel(project)
    send(project, *looping("past"), backfill=True)
    run_jobs()
    assert Finding.objects.get().backfill
    assert not Alert.objects.exists()
    assert not Delivery.objects.exists()
    assert not FeedItem.objects.exists()
    send(project, *looping("live"))
    run_jobs()
    assert the_alert().findings == 1
    assert Delivery.objects.count() == 1


def test_the_clock_stops_at_the_first_delivery_on_whichever_channel(project: Project) -> None:
    channel = make_channel(project, kind="loopback")
    make_channel(project)
    alert = raise_one(project)
    # Loopback channels are for drills; this one stands in for a receiver that answers.
    delivery = Delivery.objects.exclude(channel=channel).first()
    assert delivery is not None
    times = {"first_attempt_at": alert.alerted_at, "delivered_at": alert.alerted_at}
    told.note_delivery(delivery.key, **times)
    later = the_alert().alerted_at.replace(year=2099)
    told.note_delivery(delivery.key, later, later)
    assert the_alert().delivered_at == alert.alerted_at


def test_a_delivery_that_was_not_announced_is_found_by_the_clock(project: Project) -> None:
    channel = make_channel(project)
    raise_one(project)
    told.note_missed_deliveries()
    assert the_alert().delivered_at is None
    delivered(channel)
    told.note_missed_deliveries()
    assert the_alert().delivered_at == Delivery.objects.get().delivered_at


def test_a_delivery_after_the_next_occurrence_began_belongs_to_the_one_it_told_of(project: Project) -> None:
    channel = make_channel(project)
    resolve(raise_one(project), by=make_user(), verdict=Verdict.TRUE_POSITIVE)
    raise_one(project)
    first = Delivery.objects.order_by("id").first()
    assert first is not None
    Delivery.objects.exclude(pk=first.pk).delete()
    delivered(channel)
    told.note_missed_deliveries()
    assert PastOccurrence.objects.get().delivered_at is not None
    assert the_alert().delivered_at is None


def delivered(channel: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE notify_delivery SET state = 'delivered', first_attempt_at = now(), delivered_at = now(),"
            " ended_at = now() WHERE channel_id = %s",
            [channel.pk],
        )


def test_what_fails_on_the_way_leaves_no_alert_and_no_message(project: Project) -> None:
    finding = make_finding(project)
    with transaction.atomic():
        bring(finding)
        transaction.set_rollback(True)
    assert not Alert.objects.exists()
    assert not FeedItem.objects.exists()
    assert not AlertFinding.objects.exists()
    bring(finding)
    assert the_alert().findings == 1


def test_ten_thousand_findings_of_one_cause_are_one_alert_one_message_and_few_transactions(project: Project) -> None:
    make_channel(project)
    trace, other = make_trace(project), make_trace(project, agent="refund-bot")
    raise_one(project, trace)
    pattern = make_finding(project, trace)
    fields = {field.attname: getattr(pattern, field.attname) for field in Finding._meta.concrete_fields}
    copies = [Finding(**fields | {"id": uuid7(), "onset_span_id": f"span {n}"}) for n in range(9_998)]
    Finding.objects.bulk_create(copies)
    AlertJob.objects.touch(AlertJob(finding=finding) for finding in [pattern, *copies])
    AlertJob.objects.touch([AlertJob(finding=make_finding(project, other))])
    assert run_due(["alert"], overdue_s=0, for_s=600) == 20 + 1
    assert sorted(Alert.objects.values_list("agent", "findings")) == [("refund-bot", 1), ("support-desk", 10_000)]
    assert AlertFinding.objects.filter(fate=Fate.ALERT).count() == 10_001
    assert not AlertJob.objects.exists()
    assert Delivery.objects.count() == FeedItem.objects.count() == 2
