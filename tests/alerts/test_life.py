"""The life of an alert, driven in any order on a real database, against a model that knows nothing of it."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.db.models import F
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from agentops.accounts.models import Project, User
from agentops.notify.models import FeedItem
from tests.alerts.builders import make_trace, raise_one
from tests.builders import make_project, make_user
from traces.alerts import calm, digest, services
from traces.alerts.models import Alert, PastOccurrence, Verdict
from traces.alerts.silences import HeldBack, Silence
from traces.models import Trace

RANK = ["low", "medium", "high", "critical"]
LAPSE_SOON = timedelta(hours=1)


class Life(RuleBasedStateMachine):
    """One alert, two people, silences, and a clock that is moved by hand; each example is rolled back."""

    project: Project
    trace: Trace
    people: tuple[User, User]

    @initialize()
    def begin(self) -> None:
        self.savepoint = transaction.atomic()
        self.savepoint.__enter__()
        self.state, self.holder, self.number, self.severity = "none", -1, 0, "low"
        self.told_while_silent = 0

    def teardown(self) -> None:
        if hasattr(self, "savepoint"):
            transaction.set_rollback(True)
            self.savepoint.__exit__(None, None, None)

    @property
    def alert(self) -> Alert:
        return Alert.objects.get()

    @rule(severity=st.sampled_from(RANK))
    def fail(self, severity: str) -> None:
        raise_one(self.project, self.trace, severity=severity)
        if self.state in ("none", "resolved"):
            self.state, self.number, self.severity = "open", self.number + 1, severity
        self.severity = max(self.severity, severity, key=RANK.index)

    @precondition(lambda self: self.state != "none")
    @rule(who=st.integers(0, 1))
    def acknowledge(self, who: int) -> None:
        is_theirs = self.state == "open" or (self.state == "acknowledged" and self.holder == who)
        if not is_theirs:
            with pytest.raises(services.AlreadyDoneError):
                services.acknowledge(self.alert, by=self.people[who], lasting=LAPSE_SOON)
            return
        services.acknowledge(self.alert, by=self.people[who], lasting=LAPSE_SOON)
        self.state, self.holder = "acknowledged", who

    @precondition(lambda self: self.state != "none")
    @rule(who=st.integers(0, 1), verdict=st.sampled_from([Verdict.TRUE_POSITIVE, Verdict.FALSE_POSITIVE]))
    def resolve(self, who: int, verdict: Verdict) -> None:
        if self.state == "resolved":
            with pytest.raises(services.AlreadyDoneError):
                services.resolve(self.alert, by=self.people[who], verdict=verdict)
            return
        services.resolve(self.alert, by=self.people[who], verdict=verdict)
        self.state = "resolved"

    @precondition(lambda self: self.state != "none")
    @rule()
    def silence(self) -> None:
        services.silence(self.alert, by=self.people[0], lasting=LAPSE_SOON, reason="known")

    @precondition(lambda self: self.state != "none")
    @rule()
    def hear(self) -> None:
        services.end_silence(self.alert, by=self.people[0])

    @precondition(lambda self: self.state != "none")
    @rule()
    def let_two_hours_pass(self) -> None:
        earlier: dict[str, Any] = {"acknowledged_until": F("acknowledged_until") - timedelta(hours=2)}
        Alert.objects.update(**earlier)
        Silence.objects.update(created_at=F("created_at") - timedelta(hours=2), until=F("until") - timedelta(hours=2))
        calm.lapse_acknowledgements()
        if self.state == "acknowledged":
            self.state = "open"

    @precondition(lambda self: self.state != "none")
    @rule()
    def let_the_clock_look(self) -> None:
        calm.lapse_acknowledgements()
        calm.tell_what_was_silenced()
        calm.settle_flapping()
        digest.send_due()

    @invariant()
    def it_is_as_the_model_says(self) -> None:
        if getattr(self, "state", "none") == "none":
            return
        alert = self.alert
        assert (alert.state, alert.number, alert.severity) == (self.state, self.number, self.severity)
        assert PastOccurrence.objects.count() == self.number - 1
        if self.state == "acknowledged":
            assert alert.acknowledged_by == self.people[self.holder]
        elif self.state == "open":
            assert alert.acknowledged_by is None

    @invariant()
    def whoever_is_open_was_told_or_something_says_why_not(self) -> None:
        if getattr(self, "state", "none") != "open":
            return
        alert = self.alert
        is_held = HeldBack.objects.filter(alert=alert, settled_at=None).exists()
        assert alert.told_at is not None or alert.waits_since is not None or is_held

    @invariant()
    def what_is_told_while_silent_is_nothing(self) -> None:
        if getattr(self, "state", "none") == "none":
            return
        told = FeedItem.objects.of(self.project).count()
        if Alert.objects.silenced().exists() and self.was_silent:
            assert told == self.told_while_silent
        self.was_silent, self.told_while_silent = Alert.objects.silenced().exists(), told

    was_silent = False


@pytest.mark.django_db
def test_whatever_happens_in_whatever_order_the_life_of_an_alert_holds() -> None:
    Life.project = make_project()
    Life.trace = make_trace(Life.project)
    Life.people = (make_user(), make_user())
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Life,
        settings=settings(
            max_examples=6,
            stateful_step_count=12,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert not Alert.objects.exists()
