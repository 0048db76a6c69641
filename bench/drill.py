"""Drill: each pattern injected many times beside 200 other steps a second, from receipt to delivery on the loopback.

Once with all that runs, once while the broker hangs. `BENCH_DRILL_RUNS` says how often each pattern is injected (10),
`BENCH_DRILL_WRITE=1` writes docs/alert-timing.md.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime

from agentops.console import drilling
from agentops.console.drill_runs import RUNS
from bench import machine
from bench.batches import BATCH, FORMS, fresh
from bench.figures import Figure, median, quantile
from bench.load import Client
from tests.instance import CHECKOUT, Instance, fresh_instance

INJECTIONS = int(os.environ.get("BENCH_DRILL_RUNS", "10"))
STEPS_A_SECOND = 200  # of others, meanwhile
EVERY_S = 0.85  # between two injections: 50 of each of seven patterns take five minutes
SETTLE_S = 45.0  # what is an absence is judged half a minute after its end; to ask before that is load and no news
PAGE = CHECKOUT / "docs" / "alert-timing.md"
ALL_RUNS, NO_BROKER = "everything runs", "the broker hangs"
PROMISED_P95_S = {ALL_RUNS: 5.0, NO_BROKER: 10.0}
Outcomes = list[drilling.Outcome]


def run() -> Iterator[Figure]:
    found: dict[str, Outcomes] = {}
    with fresh_instance() as instance, background(instance):
        for state, held in ((ALL_RUNS, nullcontext()), (NO_BROKER, hanging_broker(instance))):
            with held:
                found[state] = drill(drilling.Instance(instance.url, instance.api_key))
    if os.environ.get("BENCH_DRILL_WRITE") == "1":
        PAGE.write_text(page(found), encoding="utf-8")
    for state, outcomes in found.items():
        for pattern in RUNS:
            yield from of_pattern(state, pattern, outcomes)


def drill(target: drilling.Instance) -> Outcomes:
    """Inject all patterns in turn, and wait for what became of them."""
    injected = []
    for _ in range(INJECTIONS):
        for pattern in RUNS:
            injected.append(drilling.inject(target, pattern))
            time.sleep(EVERY_S)
    time.sleep(SETTLE_S)
    return drilling.wait_for(target, injected, told=lambda _: None)


def of_pattern(state: str, pattern: str, outcomes: Outcomes) -> Iterator[Figure]:
    took = told(pattern, outcomes)
    yield Figure(f"{state}: {pattern}, told", len(took), "runs", INJECTIONS)
    if took:
        yield Figure(f"{state}: {pattern}, p50", median(took), "s")
        yield Figure(f"{state}: {pattern}, p95", quantile(took, 0.95), "s", PROMISED_P95_S[state])


def told(pattern: str, outcomes: Outcomes) -> list[float]:
    """Return the seconds from receipt to delivery of each run of a pattern that was told."""
    mine = (one.receipt_to_delivery_s for one in outcomes if one.pattern == pattern)
    return [seconds for seconds in mine if seconds is not None]


def page(found: dict[str, Outcomes]) -> str:
    """Return the page of the documents that holds these figures."""
    lines = [
        "# How fast alerts arrive",
        "",
        f"Measured {datetime.now(UTC):%Y-%m-%d} on two cores by",
        f"`BENCH_DRILL_RUNS={INJECTIONS} BENCH_DRILL_WRITE=1 python -m bench drill`: each of the patterns",
        f"injected {INJECTIONS} times through the API, {STEPS_A_SECOND} other steps a second meanwhile.",
        "From receipt, or for an absence from the moment its threshold passed, to delivery on the loopback channel, by",
        "the server's clock.",
        f"Load of the machine at the end: {machine.load():.1f}.",
    ]
    for state, outcomes in found.items():
        lines += ["", f"## While {state}", "", "| pattern | told | p50 | p95 | max |", "|---|---|---|---|---|"]
        lines += [row(f"`{pattern}`", INJECTIONS, told(pattern, outcomes)) for pattern in RUNS]
        every = [seconds for pattern in RUNS for seconds in told(pattern, outcomes)]
        lines.append(row("all", INJECTIONS * len(RUNS), every))
    return "\n".join(lines) + "\n"


def row(name: str, injected: int, took: list[float]) -> str:
    times = f"{median(took):.2f} s | {quantile(took, 0.95):.2f} s | {max(took):.2f} s" if took else "- | - | -"
    return f"| {name} | {len(took)} of {injected} | {times} |"


@contextmanager
def hanging_broker(instance: Instance) -> Iterator[None]:
    """Let the broker take connections and answer nothing while the block runs, which is worse than none."""
    instance.kill("broker", signal.SIGSTOP)
    try:
        yield
    finally:
        instance.kill("broker", signal.SIGCONT)


@contextmanager
def background(instance: Instance) -> Iterator[None]:
    """Send batches, in one project with the drills, while the block runs."""
    ended = threading.Event()
    body = FORMS["native"].template()

    def send() -> None:
        client = Client(instance.url, instance.api_key)
        while not ended.wait(BATCH / STEPS_A_SECOND):
            client.post(fresh(body))

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(30)
