"""Many stored spans, by bare COPY: the same two thousand steps in ever new traces, spread over the last week."""

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec

from bench.batches import SYLLABLES, step

STEPS, TEMPLATES = 40, 50
LONG, LONG_STEPS = "a-long-trace", 10_000
AT_ONCE = 100  # traces in one COPY, and in one batch of the ledger
SELDOM = 5_000  # one trace in so many has what is seldom
A_SESSION = 10  # traces
WORDS = 50_000
WEEK = timedelta(days=7)
Row = tuple[Any, ...]


def fill(project: Any, spans: int) -> dict[str, float]:
    """Store so many spans, unless they are there, and let search read them; return what that cost."""
    from django.db import connection

    from traces.models import Trace

    if Trace.objects.exists():
        return {}
    store(project, spans)
    took, cpu = time.monotonic(), time.process_time()
    index(project)
    print(f"their words read in {time.monotonic() - took:.0f} s", flush=True)
    cost = (time.process_time() - cpu) / (spans + LONG_STEPS) * 1_000
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)")  # so that autovacuum does not while queries are timed
        cursor.execute(
            "SELECT relname, pg_size_pretty(pg_total_relation_size(oid)) FROM pg_class WHERE relname LIKE 'search_tr%'"
        )
        print(cursor.fetchall())
    return {"index_cpu_s": cost}


def store(project: Any, spans: int) -> None:
    """Store so many spans."""
    from traces.partitions import ensure_partitions

    filling = Filling(project, spans // STEPS)
    ensure_partitions(filling.began.date())
    took = time.monotonic()
    for first in range(0, filling.traces, AT_ONCE):
        filling.store(range(first, min(first + AT_ONCE, filling.traces)))
    filling.store_long()
    print(f"{spans:,} spans stored in {time.monotonic() - took:.0f} s", flush=True)


def index(project: Any) -> None:
    from django.db import transaction

    from traces.search.find import lag_s
    from traces.search.index import index_waiting

    while lag_s(project):
        with transaction.atomic():
            index_waiting(project.pk)


class Filling:
    """The traces of one project, the newest last."""

    def __init__(self, project: Any, traces: int) -> None:
        from traces.ingest.columns import COLUMNS

        self.project = project
        self.traces = traces
        self.began = datetime.now(UTC) - WEEK
        self.rng = random.Random(1)
        self.prose = prose(self.rng)
        self.place = {column.name: i for i, column in enumerate(COLUMNS)}
        self.templates = [self._template() for _ in range(TEMPLATES)]
        self.sessions: dict[int, Any] = {}

    def _template(self) -> list[Row]:
        from traces.ingest.columns import Placed, row
        from traces.ingest.native import read_body

        steps = [self._step("template", number) for number in range(1, STEPS + 1)]
        spans = read_body(msgspec.json.encode(steps), now=datetime.now(UTC)).spans
        nowhere = uuid4().bytes
        return [
            row(span, Placed(self.project.pk.bytes, self.began.date(), nowhere, self.began, i))
            for i, span in enumerate(spans)
        ]

    def _step(self, trace: str, number: int) -> dict[str, Any]:
        one = step(self.rng, ["a"], 0, number, self.began)
        del one["session_id"]
        one.pop("tools", None)
        if "text" in one:
            one["text"] = self.prose(2_000)
        else:
            one["tool_input"] = {"query": self.prose(60)}
            one["tool_output"] = [{"id": i, "note": self.prose(150)} for i in range(8)]
        return {**one, "trace_id": trace}

    def store(self, numbers: range) -> None:
        from traces.ingest.columns import copy_rows
        from traces.models import IngestBatch, Session, Trace

        new = [number // A_SESSION for number in numbers if number % A_SESSION == 0]
        self.sessions |= {n: Session(project=self.project, session_id=f"session-{n}") for n in new}
        Session.objects.bulk_create(self.sessions[n] for n in new)
        traces = [self._trace(number) for number in numbers]
        Trace.objects.bulk_create(traces)
        copy_rows(
            "traces_span",
            [row for number, trace in zip(numbers, traces, strict=True) for row in self._rows(number, trace)],
        )
        count = len(traces) * STEPS
        IngestBatch.objects.create(
            project=self.project,
            source="native",
            received=count,
            accepted=count,
            duplicates=0,
            repaired=0,
            rejected_count=0,
            rejected=[],
            traces=[trace.trace_id for trace in traces],
        )

    def _trace(self, number: int) -> Any:
        from traces.models import Trace

        at = self.began + WEEK * (number / self.traces)
        is_seldom = number % SELDOM == SELDOM // 2
        return Trace(
            project=self.project,
            trace_id=uuid4(),
            trace_day=at.date(),
            session=self.sessions[number // A_SESSION],
            name=self.prose(40),
            agent="seldom" if is_seldom else f"agent-{number % 7}",
            status="error" if number % 10 == 0 else "ok",
            started_at=at,
            ended_at=at + timedelta(seconds=STEPS),
            received_at=at,
            last_received_at=at,
            arrivals=STEPS,
            spans=STEPS,
            steps=STEPS,
            tool_names=["search_orders", *(["seldom_used"] if is_seldom else [])],
            shape="mt" * (STEPS // 2),
        )

    def _rows(self, number: int, trace: Any) -> list[Row]:
        changed = {"trace_day": trace.trace_day, "trace_ref_id": trace.pk.bytes, "received_at": trace.received_at}
        call = f"call-{uuid4().hex}"  # as a provider's ids of calls, by which ingest looks for what is stored
        rows = [
            self._changed(row, {**changed, "call_id": f"{call}-{i}"})
            for i, row in enumerate(self.templates[number % TEMPLATES])
        ]
        if trace.agent == "seldom":
            rows[20] = self._changed(
                rows[20], {"text": f"{self.prose(500)} seldomword common phrase {self.prose(500)}"}
            )
        return rows

    def _changed(self, row: Row, values: dict[str, Any]) -> Row:
        made = list(row)
        for name, value in values.items():
            made[self.place[name]] = value
        return tuple(made)

    def store_long(self) -> None:
        from tests.traces.builders import send

        for first in range(1, LONG_STEPS, 500):
            send(self.project, *(self._step(LONG, number) for number in range(first, first + 500)))


def prose(rng: random.Random) -> Callable[[int], str]:
    """Return what makes texts of a length, whose words are spread as unevenly as those of people."""
    made = ("".join(rng.choices(SYLLABLES, k=rng.randint(2, 5))) for _ in range(WORDS))
    words = ["common", "phrase", *made]
    sums: list[float] = []
    for rank in range(len(words)):
        sums.append((sums[-1] if sums else 0.0) + 1 / (rank + 5))
    return lambda length: " ".join(rng.choices(words, cum_weights=sums, k=length // 6))[:length]
