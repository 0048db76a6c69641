"""Overload: 64 senders of one project at five times the capacity for a minute, and what others notice of it."""

import http.client
import json
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Self
from uuid import uuid4

from bench import machine
from bench.figures import Figure, quantile
from bench.load import BATCH, Client
from tests.instance import PARTS, Instance, fresh_instance

CAPACITY_S, FLOOD_S = 10.0, 60.0
ALONE, SENDERS, TIMES = 4, 64, 5
LOOK_EVERY_S, SEND_EVERY_S = 0.25, 0.5
RSS_MAX_MB, HEALTH_MAX_S, RECOVERY_MAX_S = 512, 1.0, 10.0
STEADY, STEADY_S = 10, 0.25  # so many posts in a row, each within this, are a recovered server
QUIET_KEY = """
from agentops.accounts.models import Membership, Role, Scope, User
from agentops.accounts.services import create_key, create_project
owner, project = User.objects.get(email="owner@localhost"), create_project(slug="quiet", name="Quiet")
Membership.objects.create(project=project, user=owner, role=Role.ADMIN)
print(create_key(project, by=owner, name="quiet", scopes=list(Scope)).token)
"""


class Watch(threading.Thread):
    """Does something at a pace while the block runs, and keeps how long it took and what came of it."""

    def __init__(self, look: Callable[[], int], every_s: float) -> None:
        super().__init__(daemon=True)
        self.look, self.every_s = look, every_s
        self.took_s: list[float] = []
        self.said: Counter[int] = Counter()
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.is_set():
            began = time.monotonic()
            self.said[self.look()] += 1
            self.took_s.append(time.monotonic() - began)
            self.over.wait(max(0.0, began + self.every_s - time.monotonic()))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.join()


def run() -> Iterator[Figure]:
    with fresh_instance() as instance:
        quiet = Client(instance.url, key_of_a_quiet_project(instance))
        flood(instance, 2.0, ALONE, 1_000)  # connections, caches, partitions
        alone = flood(instance, CAPACITY_S, ALONE, 1_000)
        capacity = alone["statuses"]["200"] / CAPACITY_S
        before = [timed(lambda: post_one(quiet)) for _ in range(40)]
        with (
            Watch(lambda: instance.get("/livez"), LOOK_EVERY_S) as live,
            Watch(lambda: instance.get("/readyz"), LOOK_EVERY_S) as ready,
            Watch(lambda: post_one(quiet), SEND_EVERY_S) as sent,
        ):
            told = flood(instance, FLOOD_S, SENDERS, TIMES * capacity)
        recovery = timed(lambda: recover(quiet))
        peaks = {part: peak_rss_mb(instance, part) for part in PARTS}
    statuses = Counter({int(status): count for status, count in told["statuses"].items()})
    yield Figure("capacity, 4 senders", capacity * BATCH, "spans/s")
    yield Figure("under the flood, accepted", statuses[200] * BATCH / FLOOD_S, "spans/s", capacity * BATCH)
    yield Figure("answers 200", statuses.pop(200, 0), "answers")
    yield Figure("answers 503", statuses.pop(503, 0), "answers")
    yield Figure("any other answer, or none", statuses.total(), "answers")
    yield Figure("a refusal, p95", quantile(told["refused_s"] or [0.0], 0.95) * 1_000, "ms")
    yield Figure("/livez, slowest", max(live.took_s), "s", HEALTH_MAX_S)
    yield Figure("/readyz, slowest", max(ready.took_s), "s", HEALTH_MAX_S)
    yield Figure(
        "  any other answer than 200",
        live.said.total() + ready.said.total() - live.said[200] - ready.said[200],
        "answers",
    )
    yield Figure(
        "a step of a quiet project, p50", quantile(sent.took_s, 0.5) * 1_000, "ms", quantile(before, 0.5) * 1_000
    )
    yield Figure(
        "a step of a quiet project, p95", quantile(sent.took_s, 0.95) * 1_000, "ms", quantile(before, 0.95) * 1_000
    )
    yield Figure("  of them refused", sent.said.total() - sent.said[200], "answers")
    yield Figure("recovery", recovery, "s", RECOVERY_MAX_S)
    yield from (Figure(f"peak memory of {part}", peak, "MB RSS", RSS_MAX_MB) for part, peak in peaks.items())


def key_of_a_quiet_project(instance: Instance) -> str:
    with instance.command("shell", "-c", QUIET_KEY, stdout=subprocess.PIPE, text=True) as made:
        return str(made.stdout.read().split()[-1])  # type: ignore[union-attr]


def flood(instance: Instance, seconds: float, senders: int, rate: float) -> Any:
    """Send from a process of its own, and return what it was told."""
    arguments = [instance.url, instance.api_key, str(seconds), str(senders), str(rate)]
    with instance.run_module(
        "bench.flood", *arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as one:
        assert one.stdout.readline() == "ready\n", "the senders did not start"
        return json.loads(one.communicate("go\n")[0])


def post_one(client: Client) -> int:
    """Send one step; return the status, 0 for no answer."""
    step = {"trace_id": uuid4().hex, "step_number": 1, "timestamp": "2026-03-16T12:00:00Z", "event_type": "error"}
    try:
        client.post(json.dumps(step).encode())
    except RuntimeError:
        return 503
    except (OSError, http.client.HTTPException):
        client.connection.close()
        return 0
    return 200


def timed(act: Callable[[], object]) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began


def recover(client: Client) -> None:
    """Return when steps go in as quickly as on an idle server."""
    steady = 0
    while steady < STEADY:
        steady = steady + 1 if timed(lambda: post_one(client)) < STEADY_S else 0


def peak_rss_mb(instance: Instance, part: str) -> float:
    """Return the most memory that one process of a part ever had."""
    return max(machine.peak_rss_mb(each) for pid in instance.pids(part) for each in machine.tree(pid))
