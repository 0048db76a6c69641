"""Jobs under fire: real processes are killed at seeded random moments while a client asks for work."""

import os
import random
import re
import signal
import subprocess
import time
from collections import Counter

import pytest

from tests.instance import Instance

pytestmark = pytest.mark.crash

FIRE_S = 6.0
# A lease runs out after 10 s, and what is 2 s overdue is taken.
SETTLE_WITHIN_S = 20.0
LEADER = """
    SELECT substr(application_name, 16)::int FROM pg_stat_activity JOIN pg_locks USING (pid)
    WHERE locktype = 'advisory' AND granted AND application_name LIKE 'agentops clock %'
"""
JOBS_LEFT = "SELECT name, attempts, last_error FROM probe_probejob"


def fire(instance: Instance, rng: random.Random) -> None:
    """Kill each part once, at some moment, in some order."""
    parts = rng.sample(["worker", "sweeper", "broker", "postgres"], k=4)
    moments = sorted(rng.uniform(0, FIRE_S) for _ in parts)
    started = time.monotonic()
    for part, moment in zip(parts, moments, strict=True):
        time.sleep(max(0.0, started + moment - time.monotonic()))
        instance.kill(part)


def touch_under_fire(instance: Instance, seed: int) -> dict[str, str]:
    """Return what the client knows about each job that it asked for: done or unsure."""
    client = instance.run_module("tests.crash.touching", str(seed), stdout=subprocess.PIPE, text=True)
    try:
        assert client.stdout
        first = client.stdout.readline()
        fire(instance, random.Random(seed))
    finally:
        client.terminate()
    said, _ = client.communicate(timeout=10)
    # What it says last may be cut off, and logs are in between.
    return {name: outcome for outcome, name in re.findall(r"^(done|unsure) (\S+)\n", first + said, re.MULTILINE)}


def test_the_probe_job_runs_exactly_as_often_as_it_should(instance, seed):
    known = touch_under_fire(instance, seed)
    instance.wait_until(lambda: not instance.query(JOBS_LEFT), SETTLE_WITHIN_S)
    instance.wait_until_whole()
    runs = Counter(
        name for (name,) in instance.query("SELECT name FROM probe_proberun WHERE name LIKE %s", [f"{seed}-%"])
    )
    done = {name for name, outcome in known.items() if outcome == "done"}
    assert done, "the client did not get through"
    assert {name: runs[name] for name in done if runs[name] != 1} == {}
    # The last attempt may have been committed without the client hearing of it.
    assert max(runs.values()) == 1


def test_with_the_broker_stopped_jobs_still_run_within_five_seconds(instance):
    instance.wait_until_whole()
    broker = instance.kill("broker", signal.SIGSTOP)
    try:
        client = instance.run_module("tests.crash.touching", "7", stdout=subprocess.PIPE)
        client.stdout.readline()  # it has started
        time.sleep(6)
        client.terminate()
        client.communicate(timeout=5)
        instance.wait_until(lambda: not instance.query(JOBS_LEFT), 6)
    finally:
        os.kill(broker, signal.SIGCONT)
    waits = instance.query(
        "SELECT count(*), max(extract(epoch FROM at - asked_at))::float FROM probe_proberun WHERE name LIKE '7-%'"
    )
    ((count, longest_s),) = waits
    assert count > 5
    assert longest_s < 5


def test_when_the_leading_sweeper_is_killed_another_leads_within_three_seconds(instance):
    instance.wait_until_whole()
    instance.wait_until(lambda: instance.query(LEADER), 20)
    with instance.log.open("ab") as log:
        second = instance.command("sweep", stdout=log, stderr=log)
    try:
        instance.wait_until(lambda: instance.query("SELECT 1 FROM jobs_process WHERE pid = %s", [second.pid]), 10)
        first = instance.kill("sweeper")
        instance.wait_until(lambda: instance.query(LEADER) not in ([], [(first,)]), 3)
    finally:
        second.terminate()
    assert second.wait(5) == 0
    instance.wait_until(lambda: instance.query(LEADER) not in ([], [(second.pid,)]), 5)


def test_worker_and_sweeper_outlive_the_database(instance):
    instance.wait_until_whole()
    before = (instance.pid("worker"), instance.pid("sweeper"))
    instance.kill("postgres")
    instance.wait_until_whole()
    instance.query("INSERT INTO probe_probejob (id, name, behaviour) VALUES (gen_random_uuid(), 'after', '')")
    instance.wait_until(lambda: instance.query("SELECT 1 FROM probe_proberun WHERE name = 'after'"), 6)
    assert (instance.pid("worker"), instance.pid("sweeper")) == before
