"""Flat: what a batch costs where 10,000 and where 1,000,000 spans are stored, in turns, detection stopped.

SPANS=100000 measures with fewer. The spans are stored in temporary directories: 3 GB, two minutes.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from bench import ingest
from bench.figures import Figure, median
from bench.queries import in_shell
from tests.instance import Instance

FEW, MANY = 10_000, int(os.environ.get("SPANS", "1000000"))
ROUNDS = 5


def run() -> Iterator[Figure]:
    with ExitStack() as open_:
        home = Path(open_.enter_context(tempfile.TemporaryDirectory(prefix="agentops-flat-")))
        for spans in (FEW, MANY):
            in_shell(home / str(spans), f"from bench.flat import prepare; prepare({spans})")
        few, many = (ingest.Bench(open_.enter_context(Instance(home / str(spans)))) for spans in (FEW, MANY))
        for each in (few, many):
            open_.enter_context(each.detection_stopped())
            each.post(*ingest.GZIP)  # connections and caches
        pairs = [(few.post(*ingest.GZIP), many.post(*ingest.GZIP)) for _ in range(ROUNDS)]
    for part in ("web", "postgres"):
        less, more = (median(pair[i].cpu(part) for pair in pairs) for i in (0, 1))
        yield Figure(f"CPU of {part}, {MANY:,} spans beside {FEW:,}", more, "s/1,000 spans", less)
    less, more = (median(pair[i].spans_a_second for pair in pairs) for i in (0, 1))
    yield Figure(f"durable, {MANY:,} spans beside {FEW:,}", more, "spans/s", less)


def prepare(spans: int) -> None:
    """Store so many spans in an installation, their words counted as read: search is another bench."""
    from agentops.accounts.models import Project
    from bench.stored import store
    from traces.models import IngestBatch

    store(Project.objects.get(), spans)
    IngestBatch.objects.update(is_indexed=True)
