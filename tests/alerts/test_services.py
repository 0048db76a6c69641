"""What people do with an alert: who comes first has it, and everything they did is in the trail."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from agentops.accounts.models import Project, User
from agentops.audit.models import Entry
from agentops.notify.models import FeedItem
from tests.alerts.builders import raise_one
from tests.builders import make_project, make_user
from traces.alerts import calm, services
from traces.alerts.models import Alert, AlertState, Verdict
from traces.alerts.silences import Silence

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def ada() -> User:
    return make_user("ada@example.com", name="Ada")


def test_an_alert_is_acknowledged_and_then_resolved(project: Project, ada: User) -> None:
    alert = raise_one(project)
    services.acknowledge(alert, by=ada)
    assert (alert.state, alert.acknowledged_by) == (AlertState.ACKNOWLEDGED, ada)
    services.resolve(alert, by=ada, verdict=Verdict.TRUE_POSITIVE, note="Fixed.")
    assert (alert.state, alert.resolved_by, alert.note) == (AlertState.RESOLVED, ada, "Fixed.")
    assert alert.acknowledged_at is not None
    assert alert.resolved_at is not None
    assert alert.alerted_at < alert.acknowledged_at < alert.resolved_at
    trail = Entry.objects.of(project).order_by("seq").values_list("action", "actor_name", "target_id")
    assert list(trail) == [
        ("alert.acknowledged", "ada@example.com", str(alert.pk)),
        ("alert.resolved", "ada@example.com", str(alert.pk)),
    ]


def test_who_comes_second_hears_who_was_first_and_when(project: Project, ada: User) -> None:
    alert = raise_one(project)
    services.acknowledge(alert, by=ada)
    services.acknowledge(alert, by=ada)
    with pytest.raises(services.AlreadyDoneError, match=r"Ada acknowledged this alert at \d\d:\d\d:\d\d UTC"):
        services.acknowledge(alert, by=make_user())
    services.resolve(alert, by=ada, verdict=Verdict.FALSE_POSITIVE)
    for again in (services.acknowledge, lambda *a, **k: services.resolve(*a, verdict=Verdict.TRUE_POSITIVE, **k)):
        with pytest.raises(services.AlreadyDoneError, match="Ada resolved this alert"):
            again(alert, by=make_user())
    assert Entry.objects.of(project).count() == 2


def test_an_acknowledgement_runs_out_and_the_alert_is_open_and_told_again(project: Project, ada: User) -> None:
    alert = raise_one(project)
    for told in (2, 3):
        services.acknowledge(alert, by=ada, lasting=timedelta(hours=1))
        calm.lapse_acknowledgements()
        assert Alert.objects.get().state == "acknowledged"
        Alert.objects.update(acknowledged_until=F("acknowledged_at"))
        calm.lapse_acknowledgements()
        calm.lapse_acknowledgements()
        alert.refresh_from_db()
        assert (alert.state, alert.acknowledged_by, alert.acknowledged_at, alert.lapses) == (
            "open",
            None,
            None,
            told - 1,
        )
        assert FeedItem.objects.count() == told
    assert FeedItem.objects.latest("id").title.startswith("Nobody has it any more: ")
    lapsed = Entry.objects.of(project).filter(action="alert.acknowledgement_lapsed").first()
    assert lapsed is not None
    assert lapsed.detail == {"had_by": "Ada"}


def test_whoever_has_an_alert_may_keep_it_longer_and_nobody_else(project: Project, ada: User) -> None:
    alert = raise_one(project)
    services.acknowledge(alert, by=ada)
    first = alert.acknowledged_until
    assert first is not None
    assert alert.acknowledged_at is not None
    assert timedelta(hours=4) <= first - alert.acknowledged_at < timedelta(hours=4, seconds=5)
    services.acknowledge(alert, by=ada, lasting=timedelta(days=1))
    assert alert.acknowledged_until is not None
    assert alert.acknowledged_until > first
    with pytest.raises(services.AlreadyDoneError):
        services.acknowledge(alert, by=make_user(), lasting=timedelta(days=1))
    with pytest.raises(ValueError, match="week"):
        services.acknowledge(alert, by=ada, lasting=timedelta(days=8))
    actions = list(Entry.objects.of(project).order_by("seq").values_list("action", flat=True))
    assert actions == ["alert.acknowledged", "alert.acknowledgement_prolonged"]


def test_a_silence_holds_messages_back_and_tells_of_what_is_left_when_it_ends(project: Project, ada: User) -> None:
    alert = raise_one(project)
    services.resolve(alert, by=ada, verdict=Verdict.TRUE_POSITIVE)
    services.silence(alert, by=ada, lasting=timedelta(hours=1), reason="The index is being rebuilt.")
    alert = raise_one(project, severity="critical")
    assert (alert.state, alert.number, alert.told_at, alert.delivered_at) == ("open", 2, None, None)
    calm.tell_what_was_silenced()
    assert FeedItem.objects.count() == 1
    pass_time(alert, hours=2)
    calm.tell_what_was_silenced()
    calm.tell_what_was_silenced()
    alert.refresh_from_db()
    assert FeedItem.objects.count() == 2
    assert alert.told_at is not None
    assert alert.delivered_at is not None


def test_a_silence_ends_early_by_hand(project: Project, ada: User) -> None:
    alert = raise_one(project)
    services.silence(alert, by=ada, lasting=timedelta(days=3), reason="known")
    assert Alert.objects.silenced().get() == alert
    services.end_silence(alert, by=ada)
    assert not Alert.objects.silenced().exists()
    services.end_silence(alert, by=ada)
    assert list(Entry.objects.order_by("seq").values_list("action", flat=True)) == [
        "alert.silenced",
        "alert.silence_ended",
    ]


@pytest.mark.parametrize(
    ("lasting", "reason"), [(timedelta(hours=1), " "), (timedelta(days=31), "x"), (timedelta(), "x")], ids=str
)
def test_a_silence_has_a_reason_and_an_end(project: Project, ada: User, lasting: timedelta, reason: str) -> None:
    alert = raise_one(project)
    with pytest.raises(ValueError, match="reason"):
        services.silence(alert, by=ada, lasting=lasting, reason=reason)


def pass_time(alert: Alert, *, hours: int) -> None:
    passed = {name: F(name) - timedelta(hours=hours) for name in ("created_at", "until")}
    Silence.objects.filter(alert=alert).update(**passed)


@pytest.mark.parametrize(
    "impossible",
    [
        {"state": "acknowledged"},
        {"state": "resolved", "verdict": "true_positive"},
        {"resolved_at": timezone.now()},
        {"state": "resolved", "resolved_at": timezone.now()},
        {"verdict": "false_positive"},
        {"severity": "dreadful"},
        {"retracted": 2},
        {"number": 2},
        {"state": "acknowledged", "acknowledged_at": timezone.now()},
        {"acknowledged_until": timezone.now()},
    ],
    ids=", ".join,
)
def test_the_database_refuses_states_that_cannot_be(project: Project, impossible: dict[str, object]) -> None:
    alert = raise_one(project)
    with pytest.raises(IntegrityError), transaction.atomic():
        Alert.objects.filter(pk=alert.pk).update(**impossible)


@pytest.mark.parametrize("to", [{"state": "open"}, {"state": "acknowledged"}], ids=str)
def test_the_database_opens_a_resolved_alert_for_its_next_occurrence_alone(
    project: Project, ada: User, to: dict[str, object]
) -> None:
    alert = raise_one(project)
    services.resolve(alert, by=ada, verdict=Verdict.TRUE_POSITIVE)
    times = {"acknowledged_at": None, "resolved_at": None, "verdict": ""}
    if to["state"] == "acknowledged":
        times |= {"acknowledged_at": timezone.now(), "acknowledged_until": timezone.now()}
    with pytest.raises(IntegrityError, match="does not go from resolved"), transaction.atomic():
        Alert.objects.filter(pk=alert.pk).update(**to, **times)
