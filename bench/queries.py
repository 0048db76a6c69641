"""Queries: lists, filters, search and single traces at 10,000 and at 1,000,000 stored spans, in time of the server.

The spans are kept in a directory (AGENTOPS_BENCH_DIR, else /tmp/agentops-queries) and filled once: minutes, 4 GB.
SPANS=100000 measures with fewer, EXPLAIN=1 prints how Postgres answered.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from bench import machine
from bench.figures import Figure, median
from tests.instance import CHECKOUT, clean_environment

FEW, MANY = 10_000, int(os.environ.get("SPANS", "1000000"))
HOME = Path(os.environ.get("AGENTOPS_BENCH_DIR") or Path(tempfile.gettempdir()) / "agentops-queries")
ROUNDS = 15

# What is asked, and within how many milliseconds it should be answered.
LISTS = {"API: list": ("/api/v1/traces", 30), "page: list": ("/traces", 30)}
FILTERS = {
    f"API: {name}={value}": (f"/api/v1/traces?{urlencode({name: value})}", 50)
    for name, value in (
        ("agent", "agent-1"),
        ("agent", "seldom"),
        ("status", "error"),
        ("tool", "search_orders"),
        ("tool", "seldom_used"),
        ("session", "session-7"),
        ("pattern", "tool_loop"),
        ("until", "2000-01-01T00:00:00Z"),
    )
}
SEARCHES = {
    f"API: q={text}": (f"/api/v1/traces?{urlencode({'q': text})}", 300)
    for text in ("common", "seldomword", "absentword", "common seldomword", "seldomw*", "com*", '"common phrase"')
} | {"page: q=seldomword": ("/traces?words=seldomword", 300)}
TRACES = {
    "API: a trace of 40 spans": ("/api/v1/traces/{short}", 30),
    "API: its steps": ("/api/v1/traces/{short}/steps", 30),
    "page: a trace of 40 spans": ("/traces/{short}", 100),
    "page: a trace of 10,000 spans": ("/traces/{long}", 400),
    "page: its last steps": ("/traces/{long}?from=9900", 400),
    "page: one of its steps": ("/traces/{long}?step={span}", 400),
    "API: its last steps": ("/api/v1/traces/{long}/steps?after={last}", 400),
}
QUERIES: dict[str, tuple[str, float]] = LISTS | FILTERS | SEARCHES | TRACES


def run() -> Iterator[Figure]:
    few, many = (measured(spans) for spans in (FEW, MANY))
    if "index_cpu_s" in many:
        yield Figure("reading words for search: CPU of Python", many["index_cpu_s"], "s/1,000 spans")
    for name, (_, promised) in QUERIES.items():
        yield Figure(f"{name}, {MANY:,} spans", many[name], "ms", promised)
        cpu = f"{name} CPU"
        yield Figure(f"  CPU, beside {FEW:,} spans", many[cpu], "ms", few[cpu])


def measured(spans: int) -> dict[str, float]:
    """Return the median of each query in milliseconds, measured in a process with services of its own."""
    *said, last = in_shell(HOME / str(spans), f"from bench.queries import measure; measure({spans})")
    print("\n".join(said))
    return dict(json.loads(last))


def in_shell(data_dir: Path, code: str) -> list[str]:
    """Run code on an installation, which is made where there is none, and return the lines it printed."""
    done = subprocess.run(
        [sys.executable, str(CHECKOUT / "manage.py"), "shell", "-c", code, "--data-dir", str(data_dir)],
        env=clean_environment(**{name: os.environ[name] for name in ("EXPLAIN",) if name in os.environ}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    return done.stdout.splitlines()


def measure(spans: int) -> None:
    """Fill the installation where it is not, ask each query, and print the medians as JSON."""
    from django.db import connection

    from agentops.accounts.models import Membership, Project
    from bench.stored import LONG, fill
    from tests.builders import bearer, make_key, signed_in
    from traces.models import Trace

    project = Project.objects.get()
    figures = fill(project, spans)
    member = Membership.objects.filter(project=project)[0]
    client = signed_in(member, local_client())
    headers = bearer(make_key(project, by=member.user).token)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend = cursor.fetchone()[0]
    long = Trace.objects.get(external_trace_id=LONG)
    names = {"long": LONG, "short": Trace.objects.exclude(pk=long.pk).latest("id").id_hex, "last": "Wzk5MDBd"}
    names["span"] = long.span_set.order_by("-step_number").values_list("span_id", flat=True)[0]
    for name, (path, _) in QUERIES.items():
        address = path.format(**names)
        ask = partial(client.get, address, **({"headers": headers} if path.startswith("/api") else {}))
        took, cpu = zip(*(timed(ask, backend) for _ in range(ROUNDS)), strict=True)
        figures[name], figures[f"{name} CPU"] = median(took), median(cpu)
        if os.environ.get("EXPLAIN"):
            print(f"\n== {name}: {address} {figures[name]:.1f} ms, of CPU {figures[f'{name} CPU']:.1f} ms")
            explain(connection, ask)
    print(json.dumps(figures))


def local_client() -> Any:
    from django.test import Client

    return Client(SERVER_NAME="127.0.0.1")


def timed(ask: Callable[[], Any], backend: int) -> tuple[float, float]:
    """Return milliseconds of an answer: by the clock, and of CPU, Python's and Postgres's."""
    began, cpu = time.monotonic(), machine.on_cpu_ms(os.getpid(), backend)
    answer = ask()
    took, used = (time.monotonic() - began) * 1_000, machine.on_cpu_ms(os.getpid(), backend) - cpu
    assert answer.status_code == 200, (answer.status_code, answer.content[:300])
    return took, used


def explain(connection: Any, ask: Callable[[], Any]) -> None:
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as queries:
        ask()
    for query in queries.captured_queries:
        sql = query["sql"].strip()
        if sql.startswith(("SELECT", "WITH")):
            with connection.cursor() as cursor:
                cursor.execute("EXPLAIN (ANALYZE, BUFFERS) " + sql.replace("%", "%%"), [])
                print(sql[:400], *(f"    {row[0]}" for row in cursor.fetchall()), sep="\n")
