"""What people are spared: digests of low severity, and alerts that flap."""

from datetime import timedelta

import pytest
from django.db.models import F

from agentops.accounts.models import Project, User
from agentops.notify.models import Delivery
from tests.alerts.builders import make_trace, raise_one
from tests.builders import make_project, make_user
from tests.notify.builders import make_channel
from traces.alerts import calm, digest
from traces.alerts.models import Alert, PastOccurrence, Verdict
from traces.alerts.services import resolve
from traces.alerts.silences import DigestTurn

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    made = make_project()
    make_channel(made)
    return made


@pytest.fixture
def ada() -> User:
    return make_user()


def titles() -> list[str]:
    return [delivery.content().title for delivery in Delivery.objects.order_by("id")]


def pass_an_hour() -> None:
    DigestTurn.objects.update(at=F("at") - timedelta(hours=1))


def test_of_low_severity_the_first_is_told_at_once_and_the_others_together_in_an_hour(project: Project) -> None:
    trace = make_trace(project)
    alerts = [raise_one(project, trace, tool_name=f"tool {n}", severity="low") for n in range(4)]
    digest.send_due()
    assert titles() == [alerts[0].title]
    assert alerts[1].waits_since is not None
    assert alerts[1].told_at is None
    resolve(alerts[3], by=make_user(), verdict=Verdict.TRUE_POSITIVE)
    pass_an_hour()
    for _ in range(2):
        digest.send_due()
    assert titles() == [alerts[0].title, "2 open alerts that could wait"]
    assert set(Alert.objects.open().values_list("waits_since", flat=True)) == {None}
    pass_an_hour()
    digest.send_due()
    assert len(titles()) == 2


def test_what_a_client_never_sends_is_told_once_a_day_however_often_its_runs_open_it_again(
    project: Project, ada: User
) -> None:
    trace = make_trace(project)
    first = raise_one(project, trace, severity="low")
    for _ in range(2):
        resolve(first, by=ada, verdict=Verdict.FALSE_POSITIVE)
        again = raise_one(project, trace, severity="low")
        assert (again.state, again.told_at) == ("open", None)
        pass_an_hour()
        digest.send_due()
    assert titles() == [first.title]
    PastOccurrence.objects.update(told_at=F("told_at") - timedelta(days=1))
    digest.send_due()
    assert titles() == [first.title, "1 open alert that could wait"]


def test_of_low_severity_what_comes_back_and_grows_is_told_at_once(project: Project, ada: User) -> None:
    trace = make_trace(project)
    resolve(raise_one(project, trace, severity="low"), by=ada, verdict=Verdict.FALSE_POSITIVE)
    raise_one(project, trace, severity="low")
    raise_one(project, trace, severity="high")
    assert len(titles()) == 2


def test_what_waits_and_grows_is_told_at_once(project: Project) -> None:
    trace = make_trace(project)
    raise_one(project, trace, tool_name="first", severity="low")
    for severity in ("low", "medium", "high", "high", "critical"):
        alert = raise_one(project, trace, severity=severity)
    assert [title.partition(":")[0] for title in titles()[1:]] == ["support-desk", "Now high", "Now critical"]
    assert alert.waits_since is None


def test_an_alert_that_flaps_says_so_once_and_is_quiet_until_it_is_calm(project: Project, ada: User) -> None:
    trace = make_trace(project)
    for _ in range(6):
        alert = raise_one(project, trace)
        resolve(alert, by=ada, verdict=Verdict.TRUE_POSITIVE)
    assert [title.partition(":")[0] for title in titles()] == ["support-desk"] * 3 + ["Flapping"]
    alert = raise_one(project, trace)
    assert alert.flapping_since is not None
    assert alert.waits_since is not None
    digest.send_due()
    pass_an_hour()
    digest.send_due()
    assert titles()[4:] == ["1 open alert that could wait"]
    assert raise_one(project, trace, severity="critical").told_at is not None
    assert titles()[5:] == [f"Now critical: {alert.title}"]
    resolve(alert, by=ada, verdict=Verdict.TRUE_POSITIVE)
    calm.settle_flapping()
    assert Alert.objects.get().flapping_since is not None
    an_hour_ago = {name: F(name) - timedelta(hours=1) for name in ("alerted_at", "resolved_at")}
    Alert.objects.update(**an_hour_ago)
    PastOccurrence.objects.update(**an_hour_ago)
    calm.settle_flapping()
    alert = raise_one(project, trace)
    assert (alert.flapping_since, alert.waits_since) == (None, None)
    assert titles()[6:] == [alert.title]
