"""From stored spans to the steps a detector sees, with the tools that were offered and their declared risk."""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec

from traces.detectors.base import RESULT_CHARS, Gate, Step
from traces.detectors.gates import GateFacts
from traces.detectors.stored import StoredStep
from traces.detectors.toolset import Offers, Tool, Toolset, joined, toolset_of
from traces.ingest.record import SpanRecord
from traces.models import Toolset as StoredToolset
from traces.models import Trace
from traces.queries import LAST
from traces.risks import KnownRisks

ERROR_CHARS = 500
HIGH = "high"
ESCAPE_CHARS = 6  # of the longest escape in JSON

Key = tuple[int, datetime, datetime, str]
Row = TypeVar("Row", StoredStep, SpanRecord)
FAR = datetime.max.replace(tzinfo=UTC)


def key_of(row: StoredStep | SpanRecord) -> Key:
    """Return where a step stands in step order (traces.queries.STEP_ORDER)."""
    return LAST if row.step_number is None else row.step_number, row.started_at, row.ended_at or FAR, row.span_id


class Reader(Generic[Row]):
    """Turns rows into steps one after the other; remembers the number and the toolsets in force.

    How a row is read that differs between what is stored and what a file holds is said by subclasses.
    """

    def __init__(self, *, offers: Offers, needs: frozenset[str], number: int = 0, is_live: bool = True) -> None:
        self.number = number
        self.offers = offers
        self._needs = needs
        self._is_live = is_live
        self._joined: dict[tuple[str, ...], Toolset] = {}

    def toolset(self, key: str) -> Toolset:
        raise NotImplementedError

    def offered(self, row: Row) -> str | None:
        """Return the key of the toolset that came with a row."""
        raise NotImplementedError

    def output(self, row: Row) -> str | None:
        """Return the start of a result as it is stored."""
        raise NotImplementedError

    def is_truncated(self, row: Row) -> bool:
        raise NotImplementedError

    def undoes(self, row: Row) -> str | None:
        """Return the span of the call that a row takes back, as its sender says."""
        raise NotImplementedError

    def asked(self, row: Row) -> tuple[str, ...]:
        """Return what people said in the request that a row answers."""
        raise NotImplementedError

    def risk(self, row: Row, tool: Tool | None) -> str:
        """Return the known risk of the tool that a row calls."""
        return tool.risk if tool else "unknown"

    def gates(self, row: Row) -> tuple[Gate, ...]:
        """Return what the gate had decided when a call was made."""
        return ()

    def read(self, rows: Iterable[Row]) -> Iterator[tuple[Row, Step]]:
        for row in rows:
            self.number = self.number + 1 if row.step_number is None else row.step_number
            if (key := self.offered(row)) is not None:
                self.offers.note(key, row.agent, is_model=row.event_type == "model_response")
            yield row, self._step(row)

    def _step(self, row: Row) -> Step:
        failed = bool(row.is_error) or row.event_type == "error"
        decided = row.decision or row.approval_id
        cost = row.estimated_usd if row.cost_usd is None else row.cost_usd
        toolset = self._in_force(row.agent)
        risk = self.risk(row, toolset.tools.get(row.tool_name or "") if toolset else None)
        is_call = row.event_type == "tool_call"
        is_gated = risk == HIGH and self._is_live and is_call
        return Step(
            span_id=row.span_id,
            parent_span_id=row.parent_span_id,
            number=self.number,
            event_type=row.event_type or "",
            at_s=row.started_at.timestamp(),
            ended_at_s=row.ended_at.timestamp() if row.ended_at else None,
            is_timed=not row.synthetic_time,
            is_live=self._is_live,
            tool_name=row.tool_name,
            agent=row.agent,
            arguments=None if row.input is None else msgspec.json.decode(row.input),
            arguments_hash=row.input_hash,
            toolset=toolset,
            result_hash=row.output_hash,
            result_size=row.output_size,
            result_preview=row.output_preview,
            is_error=failed,
            error=normalise_error(row.error or row.output_preview or "") if failed else None,
            tokens=_sum(row.input_tokens, row.output_tokens),
            context_tokens=row.context_tokens,
            cost_usd=None if cost is None else float(cost),
            is_cost_estimated=row.cost_usd is None and cost is not None,
            risk=risk,
            gate=(decided or "user_turn") if row.event_type == "human_gate" else None,
            gates=self.gates(row) if is_gated else (),
            text=row.text if "text" in self._needs else None,
            asked=self.asked(row) if "text" in self._needs else (),
            result=result_text(self.output(row)) if "result" in self._needs else None,
            is_truncated=is_call and "truncated" in self._needs and self.is_truncated(row),
            undoes=self.undoes(row) if is_call and "undoes" in self._needs else None,
        )

    def _in_force(self, agent: str | None) -> Toolset | None:
        keys = self.offers.keys_for(agent)
        if len(keys) <= 1:
            return self.toolset(keys[0]) if keys else None
        if keys not in self._joined:
            self._joined[keys] = joined(map(self.toolset, keys))
        return self._joined[keys]


class StoredReader(Reader[StoredStep]):
    """Reads the rows that `stored.load` yields, with what the project's policies and the gate say of their calls."""

    def __init__(self, *, trace: Trace, offers: Offers, needs: frozenset[str], number: int = 0) -> None:
        super().__init__(offers=offers, needs=needs, number=number, is_live=not trace.backfill)
        self._risks = KnownRisks(trace.project_id)
        self._facts = GateFacts(trace)

    def risk(self, row: StoredStep, tool: Tool | None) -> str:
        set_by_policy = self._risks.of(row.tool_name) if row.tool_name else None
        return set_by_policy or super().risk(row, tool)

    def gates(self, row: StoredStep) -> tuple[Gate, ...]:
        return self._facts.on(row.tool_name or "", row.input_hash, row.ended_at or row.started_at)

    def toolset(self, key: str) -> Toolset:
        return stored_toolset(UUID(key))

    def offered(self, row: StoredStep) -> str | None:
        return row.toolset_id.hex if row.toolset_id else None

    def output(self, row: StoredStep) -> str | None:
        return row.output_start

    def is_truncated(self, row: StoredStep) -> bool:
        return row.says_truncated == "true"

    def undoes(self, row: StoredStep) -> str | None:
        return row.undoes

    def asked(self, row: StoredStep) -> tuple[str, ...]:
        return texts_of(msgspec.json.decode(row.asked)) if row.asked else ()


@lru_cache(maxsize=256)
def stored_toolset(toolset: UUID) -> Toolset:
    """Return a toolset, which never changes, so it is read once a process."""
    tools: list[dict[str, Any]] = StoredToolset.objects.values_list("tools", flat=True).get(pk=toolset)
    return toolset_of(tools)


def texts_of(asked: Any) -> tuple[str, ...]:
    """Return the texts in a list that a sender may have written; nothing else of it."""
    return tuple(text for text in asked if isinstance(text, str)) if isinstance(asked, list) else ()


def result_text(stored: str | None) -> str | None:
    """Return the text of a result: what a JSON string says, anything else as JSON; at most RESULT_CHARS characters."""
    if stored is None or not stored.startswith('"'):
        return stored and stored[:RESULT_CHARS]
    start = stored[:RESULT_CHARS]
    for shorter in range(ESCAPE_CHARS):
        # What was cut off in the middle of an escape is read without the rest of it.
        text = start[: len(start) - shorter]
        for whole in (text, f'{text}"'):
            try:
                said: str = msgspec.json.decode(whole, type=str)
            except msgspec.DecodeError:
                continue
            return said
    return start


_VARIABLE = re.compile(r"\b[0-9a-f]{8,}\b|\d+|\"[^\"]{0,200}\"|'[^']{0,200}'", re.IGNORECASE)


def normalise_error(text: str) -> str:
    """Return an error without what differs from one time to the next: numbers, ids, quoted values."""
    return _VARIABLE.sub("#", " ".join(text[:ERROR_CHARS].split()).lower())


def _sum(first: int | None, second: int | None) -> int | None:
    return None if first is None and second is None else (first or 0) + (second or 0)
