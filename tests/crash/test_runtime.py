"""Runs under fire: a worker is killed, or stopped and woken again, at every named point, and another one goes on.

Whatever happens: no effect twice, none without its approval, none that could not be undone, and a cut e-mail goes to a
person. The workers are polled, half of them without a broker; two tests at the end go through a whole installation.
"""

import itertools
import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from agentops.runtime.models import Run, RunJob
from agentops.runtime.states import ENDED
from tests.builders import make_project
from tests.crash.conftest import DEFAULT_ROUNDS, ROUNDS
from tests.instance import Instance, wait_until
from tests.runtime.running import Desk
from tests.runtime.worker import Worker

pytestmark = [pytest.mark.crash, pytest.mark.django_db(transaction=True)]

# Two calls that can be undone (the second needs a person), a booking, an e-mail, a note of our own, and then it fails.
TURNS: list[Any] = [
    [["look_up", {"order": 1}]],
    [["charge", {"order": 1}], ["issue_refund", {"order": 2}]],
    [["book", {"order": 1}], ["note", {"order": 3}], ["send_email", {"order": 1}]],
    {"fail": "no such model", "fatal": True, "times": 99},  # whoever asks, also after one was fenced out
]
# The hits of a point in one run: look_up, charge, issue_refund, book, note, send_email.
CHARGE, REFUND, BOOK, NOTE, MAIL = 2, 3, 4, 5, 6
INTENT = ("before_intent", "in_intent", "before_intent_commit", "after_intent")
EFFECT = ("before_effect", "after_effect")  # the note is made inside its record and does not pass here
RECORD = ("in_record", "before_record_commit", "after_record")
JOURNAL = ("before_model", "after_model", "in_journal", "before_journal_commit", "after_journal", "in_parking")
UNDO = ("in_undo_intent", "after_undo_intent", "after_undo", "in_undo_record", "after_undo_record")
BETWEEN = frozenset({"after_intent", "before_effect", "after_effect", "in_record", "before_record_commit"})
ASLEEP_S = 4.0
HAS_BROKER = itertools.cycle((True, False))  # in every second run nobody reaches it

# Each point once; `make crash` cuts each of them in several calls.
ONCE = [
    *zip((*INTENT, *RECORD), (REFUND, MAIL, REFUND, MAIL, MAIL, REFUND, MAIL), strict=True),
    ("before_effect", REFUND),
    ("after_effect", MAIL - 1),
    *((point, 1) for point in (*JOURNAL, *UNDO)),
]
MORE = [
    *((point, hit) for point in (*INTENT, *RECORD) for hit in (CHARGE, REFUND, BOOK, NOTE, MAIL)),
    *((point, hit) for point in EFFECT for hit in (CHARGE, REFUND, BOOK, MAIL - 1)),
]
IS_THOROUGH = ROUNDS > DEFAULT_ROUNDS
CUTS = sorted({*ONCE, *MORE}) if IS_THOROUGH else ONCE
SLEEPS = (
    [(point, hit) for point in (*INTENT, *RECORD) for hit in (REFUND, BOOK, MAIL)]
    if IS_THOROUGH
    else list(zip((*INTENT, *RECORD), (MAIL, BOOK, MAIL, MAIL, BOOK, MAIL, REFUND), strict=True))
)


class Fire:
    """One run, the workers that advance it, and the person who approves what it asks for."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        desk.allow("charge", "book")
        self.run = desk.start(*TURNS)
        self.workers: list[Worker] = []
        self.has_broker = next(HAS_BROKER)

    def worker(self, failpoints: str = "") -> Worker:
        worker = Worker(str(self.run.pk), self.desk.outside.path, failpoints, has_broker=self.has_broker)
        self.workers.append(worker)
        return worker

    def until(self, is_so: Callable[[], object], timeout_s: float = 60.0) -> None:
        """Wait for something, and meanwhile approve whatever waits."""

        def approve_and_look() -> object:
            if Run.objects.get(pk=self.run.pk).status == "waiting_approval":
                self.desk.decide(self.run)
            return is_so()

        came = wait_until(approve_and_look, timeout_s)
        assert came, f"{self.desk.fresh(self.run).status}: {self.desk.outside.lines()}"

    def expire_lease(self) -> None:
        """Let the lease of whoever is gone, or sleeps, run out at once."""
        RunJob.objects.exclude(lease_id=None).update(lease_until="2020-01-01T00:00Z")

    def is_over(self) -> bool:
        return Run.objects.get(pk=self.run.pk).status in (*ENDED, "needs_person")

    def finish(self) -> None:
        self.worker()
        self.until(self.is_over)


@pytest.fixture
def fire(tmp_path: Path) -> Iterator[Fire]:
    fire = Fire(Desk(make_project(), tmp_path / "outside"))
    yield fire
    for worker in fire.workers:
        worker.end()


def cut_mail(point: str, hit: int) -> bool:
    """Say whether the e-mail is what was cut, between what is known before it and what is known after it."""
    return point in BETWEEN and hit == (MAIL - 1 if point in EFFECT else MAIL)


def check(fire: Fire) -> Run:
    """Check what must hold whatever happened, and return the run."""
    desk, run = fire.desk, fire.desk.fresh(fire.run)
    calls = {call.key: call for call in desk.calls(run)}
    for tool in ("charge", "issue_refund", "book", "send_email", "undo"):
        assert set(desk.outside.count(tool).values()) <= {1}, f"{tool} happened twice"
    approvals = {approval.pk: approval for approval in desk.approvals(run)}
    undoing = {undo.call_id: undo for undo in desk.undoing(run)}
    for tool in ("charge", "issue_refund", "book", "send_email"):
        for key in desk.outside.count(tool):
            call = calls[key]
            approval = approvals[call.approval_id]
            assert (approval.status, approval.used_at is None) == ("approved", False)
            assert approval.action.parsed_arguments == call.arguments
            first = call.attempts.get(n=1)
            assert approval.decided_at <= first.started_at
            if tool in ("charge", "issue_refund"):
                assert undoing[call.pk].created_at <= first.started_at
    turns = list(run.turns.order_by("turn").values_list("turn", flat=True))
    assert turns == list(range(1, len(turns) + 1))
    if run.status == "rolled_back":
        done = [key.removesuffix("-undo") for what, key in desk.outside.lines() if what == "undo"]
        made = [key for what, key in desk.outside.lines() if what in ("charge", "issue_refund")]
        assert done == made[::-1]
    return run


@pytest.mark.parametrize(("point", "hit"), CUTS)
def test_a_worker_killed_anywhere_is_followed_by_one_that_goes_on(fire: Fire, point: str, hit: int) -> None:
    first = fire.worker(f"{point}:kill:{hit}")
    fire.until(lambda: first.returncode is not None)
    assert first.returncode == -signal.SIGKILL, "it never came to the point"
    fire.expire_lease()
    fire.finish()
    assert check(fire).status == ("needs_person" if cut_mail(point, hit) else "rolled_back")


def stop_and_wake(fire: Fire, point: str, hit: int, *, asleep_s: float = ASLEEP_S) -> Run:
    """Stop a worker at a point, let another one try, wake the first one, and let both come to their end."""
    first = fire.worker(f"{point}:stop:{hit}")
    fire.until(lambda: first.state() == "T")
    fire.expire_lease()
    fire.worker()
    wait_until(fire.is_over, asleep_s)
    first.wake()
    fire.until(fire.is_over)
    fire.until(lambda: first.returncode is not None)
    return check(fire)


@pytest.mark.parametrize(("point", "hit"), SLEEPS)
def test_a_worker_that_sleeps_and_wakes_again_does_nothing_twice(fire: Fire, point: str, hit: int) -> None:
    assert stop_and_wake(fire, point, hit).status == "rolled_back"


def test_what_a_sleeper_did_is_known_also_when_postgres_has_ended_its_transaction(fire: Fire) -> None:
    run = stop_and_wake(fire, "before_record_commit", MAIL, asleep_s=18.0)
    assert run.status == "rolled_back"
    assert sum(call.late_results.count() for call in fire.desk.calls(run)) == 1


@pytest.mark.parametrize("nth", range(10 if IS_THOROUGH else 1))
def test_cuts_at_seeded_places_break_nothing(fire: Fire, seed: int, nth: int) -> None:
    rng = random.Random(f"{seed}.{nth}")
    for _ in range(3):
        point = rng.choice([*INTENT, *EFFECT, *RECORD, *JOURNAL, *UNDO])
        worker = fire.worker(f"{point}:kill:{rng.randint(1, 6)}")
        fire.until(lambda worker=worker: worker.returncode is not None)  # type: ignore[misc]
        fire.expire_lease()
    fire.finish()
    run = check(fire)
    mail = [call for call in fire.desk.calls(run) if call.tool == "send_email"]
    is_unknown = bool(mail) and mail[0].status == "unknown"
    assert run.status == ("needs_person" if is_unknown else "rolled_back")


def ask(instance: Instance, method: str, path: str, body: Any = None) -> dict[str, Any]:
    line = HTTPConnection(instance.url.removeprefix("http://"), timeout=30)
    headers = {"Authorization": f"Bearer {instance.api_key}", "Content-Type": "application/json"}
    line.request(method, path, json.dumps(body) if body is not None else None, headers)
    answer = line.getresponse()
    parsed: dict[str, Any] = json.loads(answer.read())
    line.close()
    assert answer.status < 300, parsed
    return parsed


def start_through_the_door(instance: Instance) -> str:
    return str(ask(instance, "POST", "/api/v1/runs", {"agent": "support-desk", "input": "1001?"})["id"])


def has_succeeded(instance: Instance, run_id: str) -> bool:
    return bool(ask(instance, "GET", f"/api/v1/runs/{run_id}")["status"] == "succeeded")


def test_runs_of_an_installation_end_well_while_its_workers_are_killed(instance: Instance) -> None:
    instance.wait_until_whole()
    started = []
    for _ in range(4):
        started.append(start_through_the_door(instance))
        time.sleep(0.3)
        instance.kill("worker")
    instance.wait_until(lambda: all(has_succeeded(instance, run_id) for run_id in started), 60)
    instance.wait_until_whole()


def test_a_run_ends_well_while_the_broker_sleeps(instance: Instance) -> None:
    instance.wait_until_whole()
    broker = instance.kill("broker", signal.SIGSTOP)
    try:
        run_id = start_through_the_door(instance)
        instance.wait_until(lambda: has_succeeded(instance, run_id), 60)
    finally:
        os.kill(broker, signal.SIGCONT)
