"""Drill: each pattern injected many times while batches of others arrive, from receipt to delivery on the loopback.

`BENCH_DRILL_RUNS` says how often each pattern is injected (20), `BENCH_DRILL_WRITE=1` writes docs/alert-timing.md.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from agentops.console import drilling
from agentops.console.drill_runs import RUNS
from bench import machine
from bench.batches import FORMS, fresh
from bench.figures import Figure, median, quantile
from bench.load import Client
from tests.instance import CHECKOUT, Instance, fresh_instance

INJECTIONS = int(os.environ.get("BENCH_DRILL_RUNS", "20"))
PROMISED_P95_S = 5.0
PAUSE_S = 1.0  # between two batches of 512 steps
PAGE = CHECKOUT / "docs" / "alert-timing.md"


def run() -> Iterator[Figure]:
    with fresh_instance() as instance, background(instance):
        target = drilling.Instance(instance.url, instance.api_key)
        injected = [drilling.inject(target, pattern) for _ in range(INJECTIONS) for pattern in RUNS]
        outcomes = drilling.wait_for(target, injected, told=lambda _: None)
    figures = [figure for pattern in RUNS for figure in of_pattern(pattern, outcomes)]
    if os.environ.get("BENCH_DRILL_WRITE") == "1":
        PAGE.write_text(page(outcomes), encoding="utf-8")
    yield from figures


def of_pattern(pattern: str, outcomes: list[drilling.Outcome]) -> Iterator[Figure]:
    took = told(pattern, outcomes)
    yield Figure(f"{pattern}, told", len(took), "runs", INJECTIONS)
    if took:
        yield Figure(f"{pattern}, p50", median(took), "s")
        yield Figure(f"{pattern}, p95", quantile(took, 0.95), "s", PROMISED_P95_S)


def told(pattern: str, outcomes: list[drilling.Outcome]) -> list[float]:
    """Return the seconds from receipt to delivery of each run of a pattern that was told."""
    mine = (one.receipt_to_delivery_s for one in outcomes if one.pattern == pattern)
    return [seconds for seconds in mine if seconds is not None]


def page(outcomes: list[drilling.Outcome]) -> str:
    """Return the page of the documents that holds these figures."""
    lines = [
        "# How fast alerts arrive",
        "",
        f"Measured {datetime.now(UTC):%Y-%m-%d} by `python -m bench drill`: each pattern injected {INJECTIONS} times,",
        "about 500 other steps a second meanwhile.",
        "From receipt, or for an absence from the moment its threshold passed, to delivery on the loopback channel.",
        f"Load of the machine at the end: {machine.load():.1f}.",
        "",
        "| pattern | told | p50 | p95 | max |",
        "|---|---|---|---|---|",
    ]
    for pattern in RUNS:
        took = told(pattern, outcomes)
        times = f"{median(took):.2f} s | {quantile(took, 0.95):.2f} s | {max(took):.2f} s" if took else "- | - | -"
        lines.append(f"| `{pattern}` | {len(took)} of {INJECTIONS} | {times} |")
    return "\n".join(lines) + "\n"


@contextmanager
def background(instance: Instance) -> Iterator[None]:
    """Send a batch a second, in one project with the drills, while the block runs."""
    ended = threading.Event()
    body = FORMS["native"].template()

    def send() -> None:
        client = Client(instance.url, instance.api_key)
        while not ended.wait(PAUSE_S):
            client.post(fresh(body))

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(30)
