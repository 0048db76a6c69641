"""The promise of jobs, tried on random histories: whatever happens, each touch is followed by a run that saw it."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentops.jobs.errors import LeaseLostError
from tests.probe.models import ProbeJob

ACTS = ("touch", "claim", "handle", "finish", "fail", "die", "expire")
histories = st.lists(st.tuples(st.sampled_from(ACTS), st.sampled_from(["one", "other"])), min_size=15, max_size=40)


class World:
    """One job and two claimers; a handler sees the touches there were when it ran."""

    def __init__(self) -> None:
        self.touches = 0
        self.seen = 0  # by runs that were finished
        self.held: dict[str, ProbeJob] = {}
        self.handled: dict[str, int] = {}

    def touch(self, _: str) -> None:
        self.touches += 1
        ProbeJob.objects.touch([ProbeJob(name="a")])

    def claim(self, who: str) -> None:
        if who not in self.held and (claimed := ProbeJob.objects.claim()):
            self.held[who] = claimed[0]

    def handle(self, who: str) -> None:
        if who in self.held:
            self.handled[who] = self.touches

    def finish(self, who: str) -> None:
        handled = self.handled.pop(who, None)
        if handled is None:
            return
        try:
            self.held.pop(who).finish()
        except LeaseLostError:
            return  # and the effects are rolled back
        self.seen = max(self.seen, handled)

    def fail(self, who: str) -> None:
        if who in self.held:
            self.held[who].fail("told to")
        self.die(who)

    def die(self, who: str) -> None:
        self.held.pop(who, None)
        self.handled.pop(who, None)

    def expire(self, _: str) -> None:
        ProbeJob.objects.exclude(lease_id=None).update(lease_until=Now() - timedelta(minutes=1))

    def settle(self) -> None:
        """Let time pass, a person release what is quarantined, and somebody run what is due."""
        self.die("one")
        self.expire("one")
        ProbeJob.objects.all().update(attempts=0, quarantined_at=None, due_at=Now())
        while ProbeJob.objects.exists():
            for act in (self.claim, self.handle, self.finish):
                act("one")


@pytest.mark.django_db
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories)
def test_each_touch_is_followed_by_a_run_that_saw_it(history):
    ProbeJob.objects.all().delete()
    world = World()
    for act, argument in history:
        getattr(world, act)(argument)
    world.settle()
    assert world.seen == world.touches
