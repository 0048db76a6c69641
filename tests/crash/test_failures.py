"""From POST to a person under fire: failures of every pattern, kill -9 of every process, and what must hold after it.

FAILURES says how many a round has. Each fingerprint gets its one alert, each finding its one fate, each alert that is
told arrives at every channel, and what arrives twice has the same id and content and followed a kill.
"""

import os
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.crash.conftest import DEFAULT_ROUNDS, FIRST_SEED, ROUNDS
from tests.crash.failures import (
    OLD,
    QUIET,
    SEND_OR_NOTE,
    Failure,
    FailureSender,
    Importer,
    Killer,
    Moody,
    failures,
    moody,
)  # fmt: skip
from tests.instance import Instance
from tests.prepared import prepared_instance

pytestmark = pytest.mark.crash

COUNT = int(os.environ.get("FAILURES", "18"))
OLD_COUNT = max(6, COUNT // 20)
CLIENTS = 4
IS_LONG = COUNT > 100
PAUSE_S = (1.0, 4.0) if IS_LONG else (0.2, 1.2)  # between two kills
CALM_S = 400.0 if IS_LONG else 120.0
NOTED_WITHIN_S = 20.0  # a taken message is noted at once, or once Postgres is back
JOB_TABLES = "SELECT table_name FROM information_schema.columns WHERE column_name = 'quarantined_at'"
PENDING = "SELECT 1 FROM notify_delivery WHERE state = 'pending'"
ALERTS = """
SELECT agent, pattern, id, number, findings, retracted, told_key, waits_since IS NOT NULL,
    EXISTS (SELECT 1 FROM alerts_heldback h WHERE h.alert_id = a.id), delivered_at IS NOT NULL
FROM alerts_alert a WHERE agent LIKE %s
"""
FATES = """
SELECT t.agent, f.pattern, replace(t.trace_id::text, '-', ''), n.fate, n.alert_id
FROM detectors_finding f JOIN traces_trace t ON t.id = f.trace_id
LEFT JOIN alerts_alertfinding n ON n.finding_id = f.id WHERE t.agent LIKE %s
"""
# By channel and key: the id that it had on the wire, and whether it travelled alone. Over sixty a minute are gathered.
TRAVELLED = """
SELECT c.config->>'url', d.key, 'msg_' || replace(coalesce(d.folded_into_id, d.id)::text, '-', ''),
    d.folded_into_id IS NULL AND NOT d.gathers
FROM notify_delivery d JOIN notify_channel c ON c.id = d.channel_id
"""


@dataclass(frozen=True)
class AlertRow:
    agent: str
    pattern: str
    id: Any
    number: int
    findings: int
    retracted: int
    told_key: str
    waits: bool
    is_held_back: bool
    is_delivered: bool


@dataclass
class Stage:
    """An installation that tells two receivers, one of which has bad days."""

    stack: Instance
    moods: dict[str, Moody]
    label: str
    seed: int

    def alerts(self) -> list[AlertRow]:
        return [AlertRow(*row) for row in self.stack.query(ALERTS, [f"{self.label}-%"])]

    def is_calm(self) -> bool:
        """Say whether nothing is left to do, now or later."""
        tables = [table for (table,) in self.stack.query(JOB_TABLES)]
        left = " UNION ALL ".join(f"(SELECT 1 FROM {table} LIMIT 1)" for table in tables)  # noqa: S608 - our own
        return not self.stack.query(f"{left} UNION ALL {PENDING}")


@pytest.fixture(params=range(max(ROUNDS // DEFAULT_ROUNDS, 1)))
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """One of its own for each round, since a project keeps the names of a thousand agents."""
    seed = FIRST_SEED + request.param
    print(f"CRASH_SEED={seed}")  # noqa: T201 - pytest shows it when the test fails
    with ExitStack() as open_:
        moods = {}
        for bad in (0.15, 0.0):
            receiver, mood = moody(seed, bad)
            moods[open_.enter_context(receiver).url] = mood
        allowed = ",".join(f"127.0.0.1/32:{url.split(':')[2].partition('/')[0]}" for url in moods)
        stack = open_.enter_context(
            prepared_instance(AGENTOPS_OUTBOUND_ALLOW=allowed, DJANGO_SETTINGS_MODULE="tests.settings")
        )
        assert stack.run_module("tests.crash.preparing", f"*-{QUIET}-*", *moods).wait(60) == 0
        yield Stage(stack, moods, f"f{seed}", seed)


def fire(stage: Stage, some: list[Failure], importer: Importer) -> Killer:
    """Send and kill until all is acknowledged, and wait until nothing is left to do."""
    rng = random.Random(stage.seed)
    pause_s = 0.3 if IS_LONG else 0.6
    senders = [
        FailureSender(stage.stack, some[first::CLIENTS], random.Random(rng.random()), pause_s)
        for first in range(CLIENTS)
    ]
    for thread in (*senders, importer):
        thread.start()
    killer = Killer(stage.stack, rng, PAUSE_S)
    killer.kill_while(senders)
    importer.join(60)
    assert importer.codes[-1] == 0
    assert [sender.refused + sender.given_up for sender in senders] == [[]] * CLIENTS
    stage.stack.wait_until_whole(60)
    stage.stack.wait_until(stage.is_calm, CALM_S)
    return killer


def test_each_failure_is_told_once_whatever_is_killed(stage: Stage, tmp_path: Path) -> None:
    some = failures(stage.label, COUNT)
    old = failures(stage.label, OLD_COUNT, kind=OLD)
    killer = fire(stage, some, Importer(stage.stack, tmp_path / "old.jsonl", old))
    alerts = stage.alerts()
    check_fates(stage, some, alerts)
    check_told(stage, alerts)
    for mood in stage.moods.values():
        check_repeated(mood, killer)


def check_fates(stage: Stage, some: list[Failure], alerts: list[AlertRow]) -> None:
    """Each fingerprint has its one alert, each finding its one fate, and an alert counts what it has."""
    assert Counter((alert.agent, alert.pattern) for alert in alerts) == Counter(
        {(failure.agent, failure.pattern): 1 for failure in some}
    )
    assert {alert.number for alert in alerts} == {1}
    fates = stage.stack.query(FATES, [f"{stage.label}-%"])
    found = {(pattern, trace) for _, pattern, trace, _, _ in fates}
    assert {(failure.pattern, failure.trace.replace("-", "")) for failure in some} <= found
    of_old = [fate for agent, _, _, fate, _ in fates if f"-{OLD}-" in agent]
    assert set(of_old) == {"backfill"}
    assert {fate for agent, _, _, fate, _ in fates if f"-{OLD}-" not in agent} == {"alert"}
    counted = Counter(alert_id for *_, alert_id in fates if alert_id)
    assert {alert.id: alert.findings for alert in alerts} == counted


def check_told(stage: Stage, alerts: list[AlertRow]) -> None:
    """What is silenced or can wait is told nobody; each other alert came to each channel, and is known to have."""
    for alert in alerts:
        assert alert.is_held_back == (f"-{QUIET}-" in alert.agent), alert
        assert bool(alert.told_key) == alert.is_delivered == (not alert.is_held_back and not alert.waits), alert
    travelled = {(url, key): (wire_id, alone) for url, key, wire_id, alone in stage.stack.query(TRAVELLED)}
    for url, mood in stage.moods.items():
        taken = mood.taken()
        assert taken.keys() <= {wire_id for wire_id, _ in travelled.values()}
        for alert in alerts:
            if alert.told_key:
                wire_id, alone = travelled[url, alert.told_key]
                assert wire_id in taken, f"nobody heard of {alert}"
                assert not alone or f"{alert.agent}:" in taken[wire_id]


def check_repeated(mood: Moody, killer: Killer) -> None:
    """One id has one content; what was taken came again only around a kill, and at most once for each."""
    doubled = [wire_id for wire_id, many in mood.bodies().items() if many > 1]
    assert [one for one in mood.receipts if one.wire_id in doubled] == []
    costly = [at for at, target in killer.kills if target in SEND_OR_NOTE]
    repeated = mood.repeated()
    assert len(repeated) <= len(costly)
    for before, _ in repeated:
        assert any(abs(at - before.at) < NOTED_WITHIN_S for at in costly), "it came twice and nothing was killed"
