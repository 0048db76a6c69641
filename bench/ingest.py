"""Ingest: native steps and OTLP spans, 512 a POST, durable when answered, beside bare COPY of the same rows.

All detectors, search and the rest of the worker's jobs run meanwhile, but where it says that they are stopped.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from bench import machine
from bench.figures import Figure, median, quantile
from bench.load import Client
from tests.instance import PARTS, Instance, fresh_instance

ROUNDS, SECONDS, CLIENTS = 2, 4.0, 4
GZIP, OTLP = ("--form", "native", "--gzip"), ("--form", "otlp", "--gzip")
WAYS = {  # what the clients send, and whether it is worked on meanwhile
    "native": (("--form", "native"), True),
    "native, gzip": (GZIP, True),
    "OTLP, gzip": (OTLP, True),
    "native, gzip, detection stopped": (GZIP, False),
    "OTLP, gzip, detection stopped": (OTLP, False),
}
FRESH_POSTS = 60
SIZES = """
SELECT (SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('traces_span'))::float8,
       (pg_current_wal_lsn() - '0/0')::float8
"""


@dataclass(frozen=True)
class Run:
    """What one stretch of posting or copying came to."""

    spans: int
    spans_a_second: float
    took_s: list[float]
    cpu_s: dict[str, float]  # by part: web, postgres, worker, sweeper
    disk_bytes: float
    wal_bytes: float

    def cpu(self, *parts: str) -> float:
        """Return CPU seconds for each 1,000 spans."""
        return sum(self.cpu_s[part] for part in parts) / self.spans * 1_000


class Bench:
    """A running installation that is measured from outside."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.key = instance.api_key
        self.parts = {part: instance.pids(part) for part in PARTS}

    def post(self, *options: str) -> Run:
        return self._run([("bench.load", self.instance.url, self.key, str(SECONDS), *options)] * CLIENTS)

    def copy(self, form: str, *, connections: int = CLIENTS) -> Run:
        return self._run([("bench.limit", str(SECONDS), form)] * connections)

    def _run(self, commands: Sequence[tuple[str, ...]]) -> Run:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        clients: list[Any] = [self.instance.run_module(*command, **pipes) for command in commands]
        for client in clients:
            assert client.stdout.readline() == "ready\n", "a client did not start"
        cpu, sizes, began = self._cpu(), self._sizes(), time.monotonic()
        for client in clients:
            client.stdin.write("go\n")
            client.stdin.flush()
        answers = [json.loads(client.stdout.readline()) for client in clients]
        took = time.monotonic() - began
        for client in clients:
            client.communicate()
        spans = sum(answer["spans"] for answer in answers)
        grown = [after - before for after, before in zip(self._sizes(), sizes, strict=True)]
        spent = {part: after - cpu[part] for part, after in self._cpu().items()}
        posts = [one for answer in answers for one in answer.get("took_s", [])]
        return Run(spans, spans / took, posts, spent, *grown)

    def _cpu(self) -> dict[str, float]:
        return {part: sum(map(machine.cpu_s, pids)) for part, pids in self.parts.items()}

    def _sizes(self) -> tuple[Any, ...]:
        (found,) = self.instance.query(SIZES)
        return found

    @contextmanager
    def detection_stopped(self) -> Iterator[None]:
        """Let worker and sweeper stand still while the block runs."""
        stopped = [pid for part in ("worker", "sweeper") for pid in (*self.parts[part], *self.instance.children(part))]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)

    def freshness_s(self) -> list[float]:
        """Return how long it took, again and again on an idle server, from sending a step to reading it back."""
        client, took = Client(self.instance.url, self.key), []
        for _ in range(FRESH_POSTS):
            trace = uuid4().hex
            step = {"trace_id": trace, "step_number": 1, "timestamp": "2026-03-16T12:00:00Z", "event_type": "error"}
            began = time.monotonic()
            client.post(json.dumps(step).encode())
            assert client.ask("GET", f"/api/v1/traces/{trace}")["steps"] == 1
            took.append(time.monotonic() - began)
        return took


def run() -> Iterator[Figure]:
    with fresh_instance() as instance:
        measured = Bench(instance)
        freshness = [took * 1_000 for took in measured.freshness_s()]  # before there is anything to catch up with
        measured.post()  # connections, caches, partitions
        rounds: dict[str, list[tuple[Run, Run, Run]]] = {way: [] for way in WAYS}
        for _ in range(ROUNDS):
            for way, (options, is_detecting) in WAYS.items():
                with nullcontext() if is_detecting else measured.detection_stopped():
                    alone, copy = measured.copy(options[1], connections=1), measured.copy(options[1])
                    rounds[way].append((measured.post(*options), copy, alone))
    for way, triples in rounds.items():
        runs, copies, alone = map(list, zip(*triples, strict=True))
        yield from (Figure(f"{way}: {what}", *rest) for what, *rest in speed(runs, copies))
        durable, limit = (median(run.spans_a_second for run in some) for some in (runs, alone))
        yield Figure(f"{way}: durable, beside one connection", durable, "spans/s", limit)
        yield Figure(f"{way}: on disk, indexes included", *each(runs, copies, "disk_bytes"))
        yield Figure(f"{way}: write-ahead log", *each(runs, copies, "wal_bytes"))
    yield Figure("one step: POST, then read through the API, p50", quantile(freshness, 0.5), "ms")
    yield Figure("one step: POST, then read through the API, p99", quantile(freshness, 0.99), "ms")


def speed(runs: list[Run], copies: list[Run]) -> Iterator[tuple[Any, ...]]:
    """Yield the figures of one way to post: name, value, unit and, where there is one, the limit."""
    posts = [took * 1_000 for run in runs for took in run.took_s]
    unit = "s/1,000 spans"
    yield "durable", median(r.spans_a_second for r in runs), "spans/s", median(r.spans_a_second for r in copies)
    yield "CPU of web", median(r.cpu("web") for r in runs), unit
    yield "CPU of Postgres", median(r.cpu("postgres") for r in runs), unit, median(r.cpu("postgres") for r in copies)
    yield "CPU of worker and sweeper", median(r.cpu("worker", "sweeper") for r in runs), unit
    yield "a POST of 512 steps, p50", quantile(posts, 0.5), "ms"
    yield "a POST of 512 steps, p99", quantile(posts, 0.99), "ms"


def each(runs: list[Run], copies: list[Run], name: str) -> tuple[float, str, float]:
    """Return bytes for each span: ours, the unit, those of the bare copy."""
    ours, least = (sum(getattr(run, name) for run in some) / sum(run.spans for run in some) for some in (runs, copies))
    return ours, "bytes/span", least
