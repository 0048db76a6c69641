"""Resume: from a person's decision to the start of the call it allows, over 50 runs, the product otherwise idle."""

import time
from collections.abc import Iterator

from bench.figures import Figure, median, quantile
from tests.instance import Instance, fresh_instance
from tests.person import Person, approval_of, status_of

RUNS = 50
NO_BROKER = "redis://127.0.0.1:1/0"  # nobody listens there
PROMISED_P95_S, PROMISED_WITHOUT_BROKER_S = 2.0, 6.0
START_TIMEOUT_S, RESUME_TIMEOUT_S = 120.0, 60.0
SETTLE_S = 5.0
# Both by the database's clock.
RESUMED = """
SELECT extract(epoch FROM c.started_at - a.decided_at)::float8
FROM runtime_toolcall c JOIN approvals_approval a ON a.id = c.approval_id
WHERE a.decided_by_id IS NOT NULL AND c.started_at IS NOT NULL
"""


def run() -> Iterator[Figure]:
    with fresh_instance() as instance:
        yield from spread("decision to execution", resumed(instance), PROMISED_P95_S)
    with fresh_instance(BROKER_URL=NO_BROKER) as instance:
        yield from spread("without a broker", resumed(instance), PROMISED_WITHOUT_BROKER_S)


def resumed(instance: Instance) -> list[float]:
    """Let so many runs wait, decide on one after the other, and return how long each took to go on.

    Each is started when the one before waits: a crowd of starts would leave the workers' queue full of wake-ups.
    """
    owner, approver = Person(instance, "owner"), Person(instance, "approver")
    runs = []
    for _ in range(RUNS):
        runs.append(run := owner.start("refund"))
        instance.wait_until(lambda run=run: status_of(instance, run) == "waiting_approval", START_TIMEOUT_S)
    time.sleep(SETTLE_S)
    for done, run in enumerate(runs, 1):
        approver.decide(approval_of(instance, run), "approve")
        instance.wait_until(lambda done=done: len(instance.query(RESUMED)) == done, RESUME_TIMEOUT_S)
    return [took for (took,) in instance.query(RESUMED)]


def spread(what: str, seconds: list[float], promised_p95_s: float) -> Iterator[Figure]:
    yield Figure(f"{what}, p50", median(seconds), "s")
    yield Figure(f"{what}, p95", quantile(seconds, 0.95), "s", promised_p95_s)
    yield Figure(f"{what}, max", max(seconds), "s")
