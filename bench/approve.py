"""The gate: how soon who waits hears of a decision, and what 200 who wait cost those who send steps."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

from bench.figures import Figure, quantile
from bench.load import Client
from tests.approvals.person import Elsewhere, Person
from tests.instance import Instance, fresh_instance

DECISIONS, WAITERS, POSTS = 50, 200, 100


def run() -> Iterator[Figure]:
    with fresh_instance() as instance:
        person, agent = Person(instance), Elsewhere(instance)
        took = list(decisions(person, agent))
        alone = posts(instance)
        asked = agent.ask("bench_many")
        with ThreadPoolExecutor(WAITERS) as crowd:
            waiting = [crowd.submit(agent.wait_for, asked) for _ in range(WAITERS)]
            time.sleep(5)  # until all of them wait
            beside = posts(instance)
            began = time.monotonic()
            person.decide(asked)
            all_told = max(one.result()["told_at"] for one in waiting) - began
    heard, answered = ([one * 1_000 for one in some] for some in zip(*took, strict=True))
    yield Figure("decision sent → who waits is answered, p50", quantile(heard, 0.5), "ms", quantile(answered, 0.5))
    yield Figure("decision sent → who waits is answered, p95", quantile(heard, 0.95), "ms", quantile(answered, 0.95))
    yield Figure("a POST of a step beside 200 who wait, p50", quantile(beside, 0.5), "ms", quantile(alone, 0.5))
    yield Figure("a POST of a step beside 200 who wait, p95", quantile(beside, 0.95), "ms", quantile(alone, 0.95))
    yield Figure("one decision → all 200 are answered", all_told * 1_000, "ms")


def decisions(person: Person, agent: Elsewhere) -> Iterator[tuple[float, float]]:
    """Yield seconds from a decision being sent to the agent hearing of it, and to the person being answered."""
    with ThreadPoolExecutor(1) as other:
        for number in range(DECISIONS):
            asked: Any = agent.ask(f"bench_{number}")
            waiting = other.submit(agent.wait_for, asked)
            time.sleep(0.3)  # until it waits
            began = time.monotonic()
            person.decide(asked)
            answered = time.monotonic()
            yield waiting.result()["told_at"] - began, answered - began


def posts(instance: Instance) -> list[float]:
    """Return how many milliseconds each of some posts of one step took, one after the other."""
    client, took = Client(instance.url, instance.api_key), []
    for _ in range(POSTS):
        step = {"trace_id": uuid4().hex, "step_number": 1, "timestamp": "2026-03-16T12:00:00Z", "event_type": "error"}
        began = time.monotonic()
        client.post(json.dumps(step).encode())
        took.append((time.monotonic() - began) * 1_000)
    return took
