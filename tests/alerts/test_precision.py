"""Verdicts and what follows from them: how often a detector is right, and that one that is not can wait."""

from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from django.test import Client
from django.utils import timezone

from agentops.accounts.models import Membership, Project, Role
from agentops.audit.models import Entry
from agentops.notify.models import FeedItem
from tests.alerts.builders import make_trace, raise_one
from tests.builders import make_membership, make_project, signed_in
from traces.alerts import precision
from traces.alerts.models import Alert, Verdict
from traces.alerts.services import resolve
from traces.alerts.verdicts import Demotion, DetectorVerdict
from traces.drills.models import Drill

pytestmark = pytest.mark.django_db


@pytest.fixture
def member() -> Membership:
    return make_membership(role=Role.OPERATOR)


def judge(member: Membership, *, true: int = 0, false: int = 0, detector: str = "ToolLoop") -> None:
    """Let people have judged so many alerts before, as rows: the last one is judged by a test itself."""
    alert = raise_one(member.project, tool_name="judged before", detector=detector)
    first = DetectorVerdict.objects.count() + 100
    DetectorVerdict.objects.bulk_create(
        DetectorVerdict(
            project=member.project,
            alert=alert,
            occurrence=first + n,
            detector=detector,
            is_true=n < true,
            at=timezone.now(),
        )
        for n in range(true + false)
    )


def say(member: Membership, verdict: Verdict, **fields: Any) -> None:
    """Raise an alert and resolve it on its page."""
    alert = raise_one(member.project, **fields)
    answer = signed_in(member).post(f"/alerts/{alert.pk}/resolve", {"verdict": verdict.value})
    assert answer.status_code == 302


def of(project: Project, detector: str = "ToolLoop") -> precision.Precision:
    return precision.precision_by_detector(project)[detector]


def page(client: Client, path: str = "/mttd") -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return str(answer.content.decode())


def test_a_verdict_counts_for_the_detectors_that_had_found_it(member: Membership) -> None:
    trace = make_trace(member.project)
    raise_one(member.project, trace)
    raise_one(member.project, trace, detector="StaleTask")
    say(member, Verdict.TRUE_POSITIVE)
    say(member, Verdict.FALSE_POSITIVE, tool_name="another")
    known = precision.precision_by_detector(member.project)
    assert {name: (one.n, one.right) for name, one in known.items()} == {"ToolLoop": (2, 1), "StaleTask": (1, 1)}
    assert precision.precision_by_detector(make_project()) == {}


def test_each_occurrence_has_a_verdict_of_its_own(member: Membership) -> None:
    for verdict in (Verdict.TRUE_POSITIVE, Verdict.FALSE_POSITIVE, Verdict.TRUE_POSITIVE):
        say(member, verdict)
    assert (Alert.objects.count(), of(member.project).n, of(member.project).right) == (1, 3, 2)


def test_the_interval_is_wilson_s(member: Membership) -> None:
    assert precision.Precision("ToolLoop", 0, 0).interval is None
    low, high = precision.Precision("ToolLoop", 50, 40).interval or (0.0, 0.0)
    assert (round(low, 3), round(high, 3)) == (0.670, 0.888)  # Newcombe 1998 computes the same way
    assert precision.Precision("ToolLoop", 3, 3).high == 1.0


def test_nothing_is_concluded_from_few_verdicts(member: Membership) -> None:
    judge(member, false=precision.ENOUGH - 2)
    say(member, Verdict.FALSE_POSITIVE)
    assert of(member.project).demotion is None
    say(member, Verdict.FALSE_POSITIVE)
    assert of(member.project).demotion is not None


def test_a_detector_that_is_wrong_too_often_is_demoted_and_people_are_told(member: Membership) -> None:
    judge(member, true=39, false=10)
    say(member, Verdict.FALSE_POSITIVE)
    assert of(member.project).n == 50
    (item,) = FeedItem.objects.filter(title__contains="low severity")
    assert item.title == "ToolLoop was right in 39 of 50 verdicts: its alerts are of low severity from now on"
    entry = Entry.objects.get(action="detector.demoted")
    assert (entry.target_id, entry.detail) == ("ToolLoop", {"verdicts": 50, "right": 39})
    content = page(signed_in(member))
    assert "demoted: ToolLoop was right in 39 of 50 verdicts" in content
    assert page(signed_in(make_membership())).count("no verdicts yet") == len(precision.standing(member.project))


def test_at_eighty_percent_it_holds(member: Membership) -> None:
    judge(member, true=39, false=10)
    say(member, Verdict.TRUE_POSITIVE)
    assert of(member.project).demotion is None


def test_what_a_demoted_detector_finds_can_wait_and_says_why(member: Membership) -> None:
    before = raise_one(member.project, tool_name="before")
    Demotion.objects.create(project=member.project, detector="ToolLoop", verdicts=50, right=39)
    first = raise_one(member.project, tool_name="first")
    alert = raise_one(member.project, tool_name="second")
    assert [one.severity for one in (before, first, alert)] == ["high", "low", "low"]
    assert alert.waits_since is not None
    assert "demoted: ToolLoop was right in 39 of 50 verdicts" in page(signed_in(member), alert.get_absolute_url())
    assert "demoted:" not in page(signed_in(member), before.get_absolute_url())
    assert raise_one(make_project()).severity == "high"
    assert raise_one(member.project, tool_name="second", detector="StaleTask").severity == "high"


def test_a_finding_that_grows_does_not_make_a_demoted_alert_louder(member: Membership) -> None:
    Demotion.objects.create(project=member.project, detector="ToolLoop", verdicts=50, right=39)
    trace = make_trace(member.project)
    alert = raise_one(member.project, trace)
    assert raise_one(member.project, trace, severity="critical").severity == "low"
    assert FeedItem.objects.filter(url=alert.get_absolute_url()).count() == 1


def test_it_is_restored_once_it_is_right_again(member: Membership) -> None:
    judge(member, true=39, false=10)
    say(member, Verdict.FALSE_POSITIVE)
    for n in range(5):
        say(member, Verdict.TRUE_POSITIVE, tool_name=f"t{n}")
    demotion = Demotion.objects.get()
    assert (demotion.lifted_by, demotion.lifted_at is not None) == (None, True)
    assert Entry.objects.filter(action="detector.restored").count() == 1
    assert FeedItem.objects.filter(title__contains="right again, in 44 of 55").exists()
    assert raise_one(member.project, tool_name="after").severity == "high"


def test_a_person_lifts_it_and_verdicts_count_anew(member: Membership) -> None:
    judge(member, true=10, false=39)
    say(member, Verdict.FALSE_POSITIVE)
    demotion = Demotion.objects.get()
    url = f"/demotions/{demotion.pk}/lift"
    assert signed_in(make_membership(member.project, Role.VIEWER)).post(url).status_code == 403
    assert signed_in(make_membership(role=Role.OPERATOR)).post(url).status_code == 404
    client = signed_in(member)
    assert "Verdicts count anew" in client.post(url, follow=True).content.decode()
    assert "was not demoted any more" in client.post(url, follow=True).content.decode()
    assert precision.precision_by_detector(member.project) == {}
    assert Entry.objects.get(action="detector.demotion_lifted").actor_name == str(member.user)
    say(member, Verdict.FALSE_POSITIVE)
    assert (of(member.project).n, of(member.project).demotion) == (1, None)


def test_old_verdicts_count_no_more(member: Membership) -> None:
    judge(member, false=50)
    DetectorVerdict.objects.update(at=F("at") - precision.COUNTED)
    say(member, Verdict.FALSE_POSITIVE)
    assert of(member.project).n == 1


def test_a_drill_proves_nothing_and_is_never_demoted(member: Membership) -> None:
    Demotion.objects.create(project=member.project, detector="ToolLoop", verdicts=50, right=39)
    trace = make_trace(member.project)
    Drill.objects.create(
        project=member.project,
        pattern="tool_loop",
        trace_id=trace.trace_id,
        onset_at=timezone.now() - timedelta(seconds=9),
    )
    alert = raise_one(member.project, trace)
    assert (alert.severity, alert.drill is not None) == ("high", True)
    content = page(signed_in(member), alert.get_absolute_url())
    assert "from a drill: injected on purpose" in content
    assert "told a person" not in content
    assert "demoted:" not in content
    resolve(alert, by=member.user, verdict=Verdict.FALSE_POSITIVE)
    assert not DetectorVerdict.objects.exists()
