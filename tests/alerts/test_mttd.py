"""The time to detect: by severity, leg by leg, with what people did after it, and what no figure counts."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db.models import F
from django.test import Client
from django.utils import timezone

from agentops.accounts.models import Membership, Role
from agentops.web import numbers
from tests.alerts.builders import make_finding, make_trace, raise_one
from tests.builders import bearer, make_key, make_membership, make_project, signed_in
from traces.alerts import mttd, plot
from traces.alerts.models import Alert, Verdict
from traces.alerts.services import acknowledge, resolve
from traces.containment.services import Failure, stop
from traces.detectors.models import Finding
from traces.drills.models import Drill
from traces.models import Trace

pytestmark = pytest.mark.django_db


@pytest.fixture
def member() -> Membership:
    return make_membership(role=Role.OPERATOR)


def figures(member: Membership) -> dict[str, Any]:
    answer = Client(headers=bearer(make_key(member.project).token)).get("/api/v1/mttd")
    assert answer.status_code == 200
    return dict(answer.json())


def page(member: Membership, **query: str) -> str:
    answer = signed_in(member).get("/mttd", query)
    assert answer.status_code == 200
    return str(answer.content.decode())


def told(member: Membership, *, tool: str, at_s: tuple[float, float, float, float, float], **fields: Any) -> Alert:
    """Raise an alert whose T2, T4, T5, T6 and T7 are so many seconds after its onset, an hour ago."""
    alert = raise_one(member.project, tool_name=tool, **fields)
    onset = timezone.now() - timedelta(hours=1)
    names = ("received_at", "detected_at", "alerted_at", "first_attempt_at", "delivered_at")
    times: dict[str, datetime] = {name: onset + timedelta(seconds=s) for name, s in zip(names, at_s, strict=True)}
    Alert.objects.filter(pk=alert.pk).update(onset_at=onset, told_at=times["alerted_at"], waits_since=None, **times)
    alert.refresh_from_db()
    return alert


def of(answer: dict[str, Any], pattern: str) -> dict[str, Any]:
    (row,) = [row for row in answer["patterns"] if row["pattern"] == pattern]
    return dict(row)


def test_severities_are_counted_apart(member: Membership) -> None:
    told(member, tool="a", at_s=(1, 2, 3, 4, 5))
    told(member, tool="b", at_s=(1, 2, 3, 4, 9))
    told(member, tool="c", at_s=(1, 2, 3, 4, 900), severity="low")
    told(member, tool="d", at_s=(1, 2, 3, 4, 4000), severity="low")
    loops = of(figures(member), "tool_loop")
    assert [(row["severity"], row["n"], row["misses"], row["p50_s"], row["max_s"]) for row in loops["severities"]] == [
        ("high", 2, 0, 5, 9),
        ("low", 2, 1, 900, 3600),
    ]
    assert (loops["n"], loops["misses"]) == (4, 1)
    assert "Time to detect by pattern and severity" in page(member)


def test_the_way_is_split_into_its_legs(member: Membership) -> None:
    told(member, tool="a", at_s=(10, 11, 13, 16, 20))
    told(member, tool="b", at_s=(20, 21, 23, 26, 40))
    legs = figures(member)["all"]["legs"]
    assert [(leg["begins"], leg["ends"], leg["n"], leg["p50_s"], leg["p95_s"]) for leg in legs] == [
        ("T0", "T2", 2, 10, 20),
        ("T2", "T4", 2, 1, 1),
        ("T4", "T5", 2, 2, 2),
        ("T5", "T6", 2, 3, 3),
        ("T6", "T7", 2, 4, 14),
    ]
    assert f'aria-label="received to detected {numbers.duration(1.0)}, detected to alerted' in page(member)


def test_a_leg_without_an_end_is_left_out(member: Membership) -> None:
    alert = told(member, tool="a", at_s=(10, 11, 13, 16, 20))
    Alert.objects.filter(pk=alert.pk).update(delivered_at=None, told_at=F("told_at") - timedelta(hours=2))
    whole = figures(member)["all"]
    assert [leg["n"] for leg in whole["legs"]] == [1, 1, 1, 1, 0]
    assert (whole["misses"], whole["acknowledged"]["waiting"]) == (1, 1)


def test_what_people_did_is_measured_from_when_they_were_told(member: Membership) -> None:
    now = timezone.now()
    for tool in ("taken", "closed", "both", "waits"):
        raise_one(member.project, tool_name=tool)
    Alert.objects.update(delivered_at=now - timedelta(minutes=10), received_at=now - timedelta(minutes=11))
    for alert in Alert.objects.filter(tool_name__in=["taken", "both"]):
        acknowledge(alert, by=member.user)
    for alert in Alert.objects.filter(tool_name__in=["closed", "both"]):
        resolve(alert, by=member.user, verdict=Verdict.TRUE_POSITIVE)
    Alert.objects.filter(tool_name="both").update(acknowledged_at=now - timedelta(minutes=9))
    whole = figures(member)["all"]
    acknowledged, resolved = whole["acknowledged"], whole["resolved"]
    assert (acknowledged["n"], acknowledged["waiting"], resolved["n"], resolved["waiting"]) == (3, 1, 2, 2)
    assert 600 <= acknowledged["p50_s"] < 660
    assert 600 <= resolved["p95_s"] < 660
    content = page(member)
    assert "MTTA from told to acknowledged" in content
    assert '3 <small class="ink-3">of 4</small>' in content


def test_what_reached_us_late_is_marked(member: Membership) -> None:
    late = told(member, tool="late", at_s=(400, 401, 402, 403, 404))
    others = told(member, tool="at once", at_s=(1, 2, 3, 4, 5))
    loops = of(figures(member), "tool_loop")
    assert (loops["late"], loops["misses"], loops["receipt_to_told_p95_s"]) == (1, 0, 4)
    content = page(member)
    assert content.count('class="dot late" cx=') == 2  # one failure, and the legend
    assert "1 late" in content
    client = signed_in(member)
    assert "late: it reached us 6 min 40 s after" in client.get(late.get_absolute_url()).content.decode().replace(
        numbers.SPACE, " "
    )
    assert "late: it reached us" not in client.get(others.get_absolute_url()).content.decode()


def test_budgets_have_a_row_of_their_own(member: Membership) -> None:
    told(member, tool="a", at_s=(1, 2, 3, 4, 5), pattern="budget", detector="Budget")
    assert of(figures(member), "budget")["n"] == 1
    assert "?state=all&amp;pattern=budget" in page(member)


def test_a_drill_counts_from_what_was_registered_with_the_detector_s_own_onset_beside(member: Membership) -> None:
    trace = make_trace(member.project)
    now = timezone.now()
    onset = now - timedelta(seconds=60)
    Drill.objects.create(project=member.project, pattern="tool_loop", trace_id=trace.trace_id, onset_at=onset)
    alert = raise_one(member.project, trace, onset_at=now - timedelta(seconds=30))
    Alert.objects.filter(pk=alert.pk).update(first_attempt_at=now, delivered_at=now)
    answer = figures(member)
    drilled = of(answer["drills"], "tool_loop")
    assert (drilled["n"], drilled["p50_s"], drilled["own_p50_s"]) == (1, 60, 30)
    assert [row["severity"] for row in drilled["severities"]] == ["high"]
    assert answer["all"]["n"] == 0
    content = page(member)
    assert "onset registered from outside" in content
    assert "Detector's onset to told, p95" in content


def test_what_no_figure_counts_is_said(member: Membership) -> None:
    assert "came under no alert" not in page(member)
    make_finding(member.project, backfill=True)
    make_finding(member.project, received_at=timezone.now() - timedelta(hours=2))
    make_finding(member.project, received_at=timezone.now() - timedelta(hours=2), shadow=True)
    make_finding(member.project)
    make_finding(make_project(), received_at=timezone.now() - timedelta(hours=2))
    answer = figures(member)
    assert (answer["backfill"], answer["unalerted"], answer["all"]["n"]) == (1, 1, 0)
    content = page(member)
    assert "1 finding older than 1 h came under no alert" in content
    assert "1 finding of imported runs in no figure" in content


def stopped(member: Membership, trace: Trace, finding: Finding, *, after_s: float, by_hand: bool = False) -> None:
    now = timezone.now()
    failure = Failure(
        finding_id=finding.pk,
        pattern=finding.pattern,
        onset_at=now - timedelta(seconds=after_s),
        received_at=now - timedelta(seconds=2),
    )
    stop(trace, by=member.user if by_hand else None, reason="It loops.", failure=failure)


def test_the_time_to_contain_stands_beside_by_rule_and_by_hand(member: Membership) -> None:
    assert "No run was stopped for a failure" in page(member)
    for after_s, by_hand in ((20, False), (30, False), (90, True)):
        trace = make_trace(member.project)
        stopped(member, trace, make_finding(member.project, trace), after_s=after_s, by_hand=by_hand)
    drilled = make_trace(member.project)
    Drill.objects.create(
        project=member.project, pattern="tool_loop", trace_id=drilled.trace_id, onset_at=timezone.now()
    )
    stopped(member, drilled, make_finding(member.project, drilled), after_s=1)
    rows = {row["by"]: row for row in figures(member)["contained"]}
    assert {by: (row["n"], round(row["p95_s"])) for by, row in rows.items()} == {"rule": (2, 30), "person": (1, 90)}
    assert 2 <= rows["rule"]["receipt_to_told_p50_s"] < 4
    content = page(member)
    assert "a rule" in content
    assert "a person" in content


def test_precision_stands_in_the_answer_for_every_detector(member: Membership) -> None:
    resolve(raise_one(member.project), by=member.user, verdict=Verdict.TRUE_POSITIVE)
    rows = {row["detector"]: row for row in figures(member)["precision"]}
    assert (rows["ToolLoop"]["n"], rows["ToolLoop"]["share"], rows["ToolLoop"]["high"]) == (1, 1.0, 1.0)
    assert 0.2 < rows["ToolLoop"]["low"] < 0.21
    assert (rows["StaleTask"]["n"], rows["StaleTask"]["share"], rows["StaleTask"]["demoted_at"]) == (0, None, None)


def test_of_thousands_every_miss_is_drawn_before_others() -> None:
    some = [
        mttd.Point(pattern="tool_loop", severity="high", onset_at=timezone.now(), to_told_s=n % 90, is_missed=n < 7)
        for n in range(5_000)
    ]
    drawn = str(plot.strip_plot_svg(some, mttd.figures(some)))
    assert drawn.count('class="miss"') == 7
    assert drawn.count('class="dot"') == plot.DOTS - 7
