"""From stored spans to the steps a detector sees, with the tools that were offered and their declared risk."""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec
from django.db.models import QuerySet

from traces.detectors.base import Step
from traces.models import Span, Toolset

SLIM = (
    "span_id", "step_number", "event_type", "tool_name", "agent", "started_at", "ended_at", "received_at", "arrival",
    "is_error", "synthetic_time", "input_tokens", "output_tokens", "context_tokens", "approval_id", "decision",
    "input_hash", "output_hash", "output_size", "output_preview", "toolset_id", "input",
)  # fmt: skip
ERROR_CHARS = 500

Key = tuple[int, datetime, datetime, str]


def key_of(span: Span) -> Key:
    """Return where a step stands in step order."""
    return span.place, span.started_at, span.end, span.span_id  # type: ignore[attr-defined]


def columns(needs: frozenset[str]) -> list[str]:
    """Return the columns to load: bodies beside the arguments only where a detector declares them."""
    return [*SLIM, "error", *(["text"] if "text" in needs else [])]


class Reader:
    """Turns spans into steps one after the other; remembers the number and the toolset in force."""

    def __init__(self, *, number: int, toolset: UUID | None, needs: frozenset[str]) -> None:
        self.number = number
        self.toolset = toolset
        self._needs = needs

    def read(self, spans: Iterable[Span]) -> Iterator[tuple[Span, Step]]:
        for span in spans:
            self.number = self.number + 1 if span.step_number is None else span.step_number
            self.toolset = span.toolset_id or self.toolset
            yield span, self._step(span)

    def _step(self, span: Span) -> Step:
        failed = bool(span.is_error) or span.event_type == "error"
        decided = span.decision or span.approval_id
        return Step(
            span_id=span.span_id,
            number=self.number,
            event_type=span.event_type or "",
            at_s=span.started_at.timestamp(),
            ended_at_s=span.ended_at.timestamp() if span.ended_at else None,
            is_timed=not span.synthetic_time,
            tool_name=span.tool_name,
            agent=span.agent,
            arguments=None if span.input is None else msgspec.json.decode(span.input),
            arguments_hash=span.input_hash,
            result_hash=span.output_hash,
            result_size=span.output_size,
            result_preview=span.output_preview,
            is_error=failed,
            error=normalise_error(span.error or span.output_preview or "") if failed else None,
            tokens=_sum(span.input_tokens, span.output_tokens),
            context_tokens=span.context_tokens,
            risk=risks(self.toolset).get(span.tool_name or "", "unknown") if self.toolset else "unknown",
            gate=(decided or "user_turn") if span.event_type == "human_gate" else None,
            text=span.text if "text" in self._needs else None,
        )


def load(rows: QuerySet[Span], needs: frozenset[str]) -> Iterator[Span]:
    """Yield steps in step order, a thousand at a time. One query."""
    return rows.only(*columns(needs)).iterator(chunk_size=1_000)


@lru_cache(maxsize=1_000)
def risks(toolset: UUID) -> dict[str, str]:
    """Return what a toolset declares of its tools. A toolset never changes, so it is read once a process."""
    tools: list[dict[str, Any]] = Toolset.objects.values_list("tools", flat=True).get(pk=toolset)
    return {tool["name"]: tool["risk"] for tool in tools if tool.get("risk")}


_VARIABLE = re.compile(r"\b[0-9a-f]{8,}\b|\d+|\"[^\"]{0,200}\"|'[^']{0,200}'", re.IGNORECASE)


def normalise_error(text: str) -> str:
    """Return an error without what differs from one time to the next: numbers, ids, quoted values."""
    return _VARIABLE.sub("#", " ".join(text[:ERROR_CHARS].split()).lower())


def _sum(first: int | None, second: int | None) -> int | None:
    return None if first is None and second is None else (first or 0) + (second or 0)
