"""Ingest: native steps and OTLP spans, 512 a POST, durable when answered, beside bare COPY of the same rows.

All detectors, search and the rest of the worker's jobs run meanwhile.
"""

import json
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import Any
from uuid import uuid4

from bench import machine
from bench.figures import Figure, median, quantile
from bench.load import Client
from tests.instance import PARTS, Instance, fresh_instance

ROUNDS, SECONDS, CLIENTS = 2, 4.0, 4
GZIP, OTLP = ("--form", "native", "--gzip"), ("--form", "otlp", "--gzip")
WAYS = {  # how many web processes take it in, and what the clients send
    "native": (1, ("--form", "native")),
    "native, gzip": (1, GZIP),
    "OTLP, gzip": (1, OTLP),
    "native, gzip, two web processes": (2, GZIP),
    "OTLP, gzip, two web processes": (2, OTLP),
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


@dataclass(frozen=True)
class Web:
    """A web process, as the README starts more of them."""

    url: str
    pid: int


@contextmanager
def web_beside(instance: Instance) -> Iterator[Web]:
    """Run one more web process for an installation."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as `up` does
        port = door.getsockname()[1]
        where = ("--fd", str(door.fileno()), "--no-access-log", "--ws", "none")
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "pass_fds": [door.fileno()]}
        process = instance.run_module("uvicorn", "agentops.asgi:application", *where, **quiet)
        try:
            url = f"http://127.0.0.1:{port}"
            Client(url, instance.api_key).ask("GET", "/readyz")  # the listening door holds it until it is answered
            yield Web(url, process.pid)
        finally:
            process.kill()
            process.wait()


class Bench:
    """A running installation that is measured from outside, with a second web process beside that of `up`."""

    def __init__(self, instance: Instance, other: Web) -> None:
        self.instance = instance
        self.key = instance.api_key
        self.urls = [instance.url, other.url]
        self.parts = {part: [instance.pid(part) or 0] for part in PARTS}
        self.parts["web"].append(other.pid)

    def post(self, webs: int, *options: str) -> Run:
        """Post from all clients, spread over so many web processes."""
        urls = cycle(self.urls[:webs])
        return self._run(("bench.load", next(urls), self.key, str(SECONDS), *options) for _ in range(CLIENTS))

    def copy(self, form: str) -> Run:
        return self._run(("bench.limit", str(SECONDS), form) for _ in range(CLIENTS))

    def _run(self, commands: Iterable[tuple[str, ...]]) -> Run:
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
    with fresh_instance() as instance, web_beside(instance) as other:
        measured = Bench(instance, other)
        freshness = [took * 1_000 for took in measured.freshness_s()]  # before there is anything to catch up with
        measured.post(2)  # connections, caches, partitions
        rounds: dict[str, list[tuple[Run, Run]]] = {way: [] for way in WAYS}
        for _ in range(ROUNDS):
            for way, (webs, options) in WAYS.items():
                rounds[way].append((measured.copy(options[1]), measured.post(webs, *options)))
    for way, pairs in rounds.items():
        copies, runs = map(list, zip(*pairs, strict=True))
        yield from (Figure(f"{way}: {what}", *rest) for what, *rest in speed(runs, copies))
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
