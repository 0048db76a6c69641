"""Flat: what a batch costs where 10,000 and where 1,000,000 spans are stored, in turns, detection stopped.

SPANS=100000 measures with fewer. The spans are stored in temporary directories, anew for each form: 3 GB, two minutes.
What the posts themselves add, up to 50,000 spans a round, comes on top in both.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from bench.figures import Figure, median
from bench.ingest import GZIP, OTLP, Bench, Run
from bench.queries import in_shell
from tests.instance import Instance

FEW, MANY = 10_000, int(os.environ.get("SPANS", "1000000"))
ROUNDS = 5
FORMS = {"native": GZIP, "OTLP": OTLP}


def run() -> Iterator[Figure]:
    for form, options in FORMS.items():
        yield from compared(form, measured(options))


def measured(options: tuple[str, ...]) -> list[tuple[Run, Run]]:
    """Return pairs of stretches, beside few spans and beside many."""
    with ExitStack() as open_:
        home = Path(open_.enter_context(tempfile.TemporaryDirectory(prefix="agentops-flat-")))
        for spans in (FEW, MANY):
            in_shell(home / str(spans), f"from bench.flat import prepare; prepare({spans})")
        few, many = (Bench(open_.enter_context(Instance(home / str(spans)))) for spans in (FEW, MANY))
        for each in (few, many):
            open_.enter_context(each.detection_stopped())
            each.post(*options)  # connections and caches
        return [(few.post(*options), many.post(*options)) for _ in range(ROUNDS)]


def compared(form: str, pairs: list[tuple[Run, Run]]) -> Iterator[Figure]:
    for part in ("web", "postgres"):
        less, more = (median(pair[i].cpu(part) for pair in pairs) for i in (0, 1))
        yield Figure(f"{form}: CPU of {part}, {MANY:,} spans beside {FEW:,}", more, "s/1,000 spans", less)
    less, more = (median(pair[i].spans_a_second for pair in pairs) for i in (0, 1))
    yield Figure(f"{form}: durable, {MANY:,} spans beside {FEW:,}", more, "spans/s", less)


def prepare(spans: int) -> None:
    """Store so many spans in an installation, their words counted as read: search is another bench."""
    from django.db import connection

    from agentops.accounts.models import Project
    from bench.stored import store
    from traces.models import IngestBatch

    store(Project.objects.get(), spans)
    IngestBatch.objects.update(is_indexed=True)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")  # as autovacuum does in time
