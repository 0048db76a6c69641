"""Redaction: what looking for secrets costs in CPU, at both doors, in innocent batches and in others."""

import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from bench.batches import BATCH, native, otlp
from bench.figures import Figure

ROUNDS = 7
PROMISED = 10.0  # ms for 1,000 innocent spans of 3 kB
UNIT = "ms/1,000 spans"


def run() -> Iterator[Figure]:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentops.settings")
    import django

    django.setup()
    from agentops.redaction.hint import may_hold_secrets
    from agentops.redaction.redactor import Redactor
    from agentops.redaction.rules import Rules
    from traces.ingest.native import read_body
    from traces.ingest.redact import redacted

    for name, body in (("native", native()), ("OTLP", otlp())):
        assert not may_hold_secrets(body)
        size = len(body) / BATCH
        looked = _ms(lambda body=body: may_hold_secrets(body))
        yield Figure(f"{name}, {size:,.0f} bytes a span: one look at all", looked, UNIT)
        yield Figure(f"{name}: the same for spans of 3 kB", looked * 3_000 / size, UNIT, PROMISED)
    batch = read_body(native(), now=datetime.now(UTC))
    rules = Rules([("employee", r"\bEMP-\d{6}\b"), ("host", r"(?i)\w+\.corp\.example")])
    yield Figure("native: a look at each span", _ms(lambda: redacted(batch, Redactor())), UNIT)
    yield Figure("native: two rules of the project", _ms(lambda: redacted(batch, Redactor(b"", rules))), UNIT)


def _ms(work: Callable[[], object]) -> float:
    """Return the least CPU of some rounds, in ms for 1,000 spans."""
    took = []
    for _ in range(ROUNDS):
        began = time.thread_time()
        work()
        took.append(time.thread_time() - began)
    return min(took) / BATCH * 1_000_000
