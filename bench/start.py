"""Start: from nothing to ready, from a stop to ready, and the memory of the idle product after a minute."""

import time
from collections.abc import Iterator

from bench import machine
from bench.figures import Figure, median
from tests.instance import PARTS, Instance, fresh_instance

WARM_STARTS = 3
IDLE_S = 60.0


def run() -> Iterator[Figure]:
    began = time.monotonic()
    with fresh_instance() as instance:
        yield Figure("first start, environment installed", time.monotonic() - began, "s")
        starts, stops, cpu = [], [], []
        for _ in range(WARM_STARTS):
            stops.append(instance.stop())
            starts.append(started_s(instance))
            cpu.append(machine.cpu_s(instance.process.pid) if instance.process else 0)
        yield Figure("start on a data directory that is there", median(starts), "s")
        yield Figure("  CPU of such a start", median(cpu), "s")
        yield Figure("stop", median(stops), "s")
        yield from idle(instance)


def started_s(instance: Instance) -> float:
    began = time.monotonic()
    instance.start()
    return time.monotonic() - began


def idle(instance: Instance) -> Iterator[Figure]:
    """Yield what nobody's use costs."""
    assert instance.process
    time.sleep(IDLE_S)
    yield Figure("memory of the idle product", machine.pss_mb(machine.tree(instance.process.pid)), "MB PSS")
    for part in PARTS:
        yield Figure(
            f"  of it {part}",
            machine.pss_mb([each for pid in instance.pids(part) for each in machine.tree(pid)]),
            "MB PSS",
        )
    before = machine.cpu_s(instance.process.pid)
    time.sleep(IDLE_S / 2)
    used = machine.cpu_s(instance.process.pid) - before
    yield Figure("CPU of the idle product", used / (IDLE_S / 2) * 100, "% of one core")
