"""Builders for the steps a detector sees, and a run of one detector over them."""

from collections.abc import Iterable
from typing import Any

import msgspec

from traces.detectors.base import Detector, Hit, Step
from traces.detectors.steps import result_text
from traces.detectors.toolset import toolset_of
from traces.ingest.record import content_hash
from traces.ingest.step import arguments_hash

HASHED: Any = object()


def make_step(number: int, **fields: Any) -> Step:
    """A tool call, unless said otherwise; `result=None` means that none was recorded, `tools` are offered to it."""
    arguments = fields.pop("arguments", {"q": "x"})
    result = fields.pop("result", "ok")
    output = None if result is None else msgspec.json.encode(result)
    tools = fields.pop("tools", None)
    values: dict[str, Any] = {
        "span_id": f"span-{number}",
        "number": number,
        "event_type": "tool_call",
        "at_s": float(number),
        "tool_name": "search",
        "arguments": arguments,
        "arguments_hash": arguments_hash(arguments),
        "result_hash": None if output is None else content_hash(output),
        "result_size": None if output is None else len(output),
        "result_preview": None if result is None else str(result)[:160],
        "result": result_text(None if output is None else output.decode()),
        "toolset": None if tools is None else toolset_of(tools),
    }
    return Step(**(values | fields))


def hits(one: Detector, steps: Iterable[Step]) -> dict[tuple[str, str], Hit]:
    """Return the last hit of each kind and onset."""
    found = {(hit.kind, hit.onset.span_id): hit for step in steps for hit in one.see(step)}
    assert not one.kinds or {kind for kind, _ in found} <= {*one.kinds}, "a kind that it does not list"
    return found


def kinds(one: Detector, steps: Iterable[Step]) -> set[str]:
    return {kind for kind, _ in hits(one, steps)}
