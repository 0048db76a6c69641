"""A stored trace as lines of JSON that `import` reads back: one sort of its slim rows, then window by window by key."""

from collections.abc import Iterator
from typing import Any

import msgspec
from django.db.models import Func, IntegerField
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce

from traces.models import Span, Trace
from traces.queries import Step, in_step_order
from traces.wire import step_as_sent

OURS = {"received_at", "original_timestamp", "estimated_usd"}  # what we add to a step; the door would not read it
WINDOW_STEPS = 500  # read at once
WINDOW_BYTES = 8 * 1024 * 1024
BODIES = ("input", "output", "text", "thinking", "error")


class OctetLength(Func):
    """The bytes of a text, which Postgres knows without reading it."""

    function = "octet_length"
    output_field = IntegerField()


def export(trace: Trace) -> Iterator[bytes]:
    """Yield a trace as lines of JSON that `import` reads back to the same trace.

    One query, and one for each window: 500 steps, or fewer where their texts come to 8 MiB.
    """
    about = {
        "trace_id": trace.external_trace_id or trace.id_hex,
        "trace_name": trace.name or None,
        "user": trace.user or None,
        "environment": trace.environment or None,
        "release": trace.release or None,
    }
    opening = {
        **about,
        "trace_status": "running",
        "session_id": trace.session.session_id if trace.session else None,
        "agent": trace.agent or None,  # that of the key, where no step names one
    }
    yield _line(opening)
    position = 0
    for window in _windows(trace):
        found = _spans(trace, window)
        for place, span_id in enumerate(window, position):
            if span_id in found:  # else it was removed meanwhile
                yield _line({**step_as_sent(Step(found[span_id], place, trace)), **about})
        position += len(window)
    if trace.status != "running":
        yield _line({"trace_id": about["trace_id"], "trace_status": trace.status})


def _windows(trace: Trace) -> Iterator[list[str]]:
    """Yield the span ids of each window, in step order. One query, which reads no body: Postgres knows their sizes."""
    window: list[str] = []
    size = 0
    for span_id, length in in_step_order(trace).annotate(size=_size()).values_list("span_id", "size"):
        if window and (len(window) == WINDOW_STEPS or size + length > WINDOW_BYTES):
            yield window
            window, size = [], 0
        window.append(span_id)
        size += length
    if window:
        yield window


def _size() -> Combinable:
    first, *others = (Coalesce(OctetLength(name), 0) for name in BODIES)
    return sum(others, start=first)


def _spans(trace: Trace, span_ids: list[str]) -> dict[str, Span]:
    rows = Span.objects.of(trace.project_id).filter(trace_day=trace.trace_day, trace_ref=trace, span_id__in=span_ids)
    return {span.span_id: span for span in rows.select_related("toolset")}


def _line(item: dict[str, Any]) -> bytes:
    """Return one line; null and absent say the same on this wire, so nulls are left out."""
    kept = {name: value for name, value in item.items() if value is not None and name not in OURS}
    return msgspec.json.encode(kept) + b"\n"
