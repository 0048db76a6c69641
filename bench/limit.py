"""The limit beside the ingest figures: the same rows by nothing but binary COPY into the same partitioned table.

`python -m bench.limit SECONDS FORM` speaks as `bench.load` does: ready, a line of input, one line of JSON.
"""

import json
import sys
import time
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import django

from bench.batches import BATCH, FORMS


def rows(form: str) -> list[tuple[Any, ...]]:
    """Return the rows of one batch as ingest would write them."""
    from agentops.accounts.models import Project
    from traces.ingest.columns import Placed, row
    from traces.ingest.native import read_body
    from traces.ingest.otlp import read
    from traces.ingest.otlp_span import TRACES

    project, now = Project.objects.get(), datetime.now(UTC)
    refs: dict[UUID, bytes] = {}
    made = []
    body = FORMS[form].template()
    batch = read(TRACES, body, is_json=False, now=now) if form == "otlp" else read_body(body, now=now)
    for place, span in enumerate(batch.spans):
        ref = refs.setdefault(span.trace, uuid4().bytes)
        made.append(row(span, Placed(project.pk.bytes, now.date(), ref, now, place)))
    return made


def elsewhere(values: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return the same rows as spans of traces that nobody has seen: the third column is the trace's."""
    refs: dict[bytes, bytes] = {}
    return [(*value[:2], refs.setdefault(value[2], uuid4().bytes), *value[3:]) for value in values]


def main() -> None:
    django.setup()
    from traces.ingest.columns import copy_rows

    values, copied = rows(sys.argv[2]), 0
    print("ready", flush=True)
    sys.stdin.readline()
    end = time.monotonic() + float(sys.argv[1])
    while time.monotonic() < end:
        copy_rows("traces_span", elsewhere(values))  # a transaction of its own
        copied += BATCH
    print(json.dumps({"spans": copied}))


if __name__ == "__main__":
    main()
