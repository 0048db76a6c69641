"""What every door makes of its input: frozen records of spans and of what was said about their traces."""

from datetime import datetime
from decimal import Decimal
from hashlib import blake2b, sha256
from typing import Any
from uuid import UUID

import msgspec

ASKED = "agentops.asked"  # of a model step's attributes: a list of what people said in its request
NATIVE = "native"  # the source of batches in the native wire format


class ToolsetRecord(msgspec.Struct, frozen=True):
    """The tools offered to a model, with the hash that names them."""

    sha256: bytes
    tools: list[dict[str, Any]]


def toolset(tools: list[dict[str, Any]]) -> ToolsetRecord:
    """Return the record of tools: the order of their keys makes no difference."""
    return ToolsetRecord(sha256(msgspec.json.encode(tools, order="deterministic")).digest(), tools)


class SpanRecord(msgspec.Struct, frozen=True, gc=False):
    """One span, ready for its row; the names are those of the columns (traces.models.Span)."""

    trace: UUID

    # Of its row, in the order in which COPY writes it (columns.py).
    span_id: str
    started_at: datetime
    parent_span_id: str | None = None
    step_number: int | None = None
    event_type: str | None = None
    name: str | None = None
    tool_name: str | None = None
    agent: str | None = None
    model: str | None = None
    provider: str | None = None
    approval_id: str | None = None
    decision: str | None = None
    ended_at: datetime | None = None
    is_error: bool | None = None
    repaired: bool = False
    synthetic_time: bool = False
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cache_written_tokens: int | None = None
    context_tokens: int | None = None
    cost_usd: Decimal | None = None
    estimated_usd: Decimal | None = None  # see ingest/cost.py
    input_hash: int | None = None
    output_hash: int | None = None
    output_size: int | None = None
    original_timestamp: str | None = None
    input_preview: str | None = None
    output_preview: str | None = None
    input: str | None = None
    output: str | None = None
    text: str | None = None
    thinking: str | None = None
    error: str | None = None
    call_id: str | None = None  # what the same call is found by in other spans, see ingest/calls.py
    attributes: dict[str, Any] | None = None

    # Not of its row.
    toolset: ToolsetRecord | None = None
    is_told: bool = False  # made of what messages tell, and no item of the request

    @property
    def key(self) -> tuple[UUID, str]:
        return self.trace, self.span_id

    @property
    def failed(self) -> bool:
        return bool(self.is_error) or self.event_type == "error"


class Call(msgspec.Struct, gc=False):
    """A call that a model asked for in its answer, or that the next request tells of."""

    id: str
    name: str = ""
    arguments: Any = None


class Result(msgspec.Struct, gc=False):
    """What came back for a call, as the model was told."""

    id: str
    value: Any = None


class Told(msgspec.Struct, frozen=True, gc=False):
    """A call as a model's span tells of it: with its result, or as asked for."""

    span: SpanRecord
    call: Call
    result: Result | None = None


class TraceRecord(msgspec.Struct, kw_only=True):
    """What one batch says about one trace; an empty text says nothing."""

    trace: UUID
    external_id: str | None = None
    session_id: str = ""
    name: str = ""
    preview: str = ""
    agent: str = ""
    user: str = ""
    environment: str = ""
    release: str = ""
    status: str = ""  # "running", "ok" or "error", as said by the sender
    status_items: list[str] = []  # said by items that opened or closed the trace without a step
    service: str = ""  # the agent's name until a span says another
    root_ended_at: datetime | None = None  # when the span without a parent ended
    is_lone: bool = False  # that span is a call itself: the sender gave no span around its run


class Problem(msgspec.Struct, frozen=True):
    """One fault of one item: where (a JSON pointer into the item) and what would be right."""

    pointer: str
    detail: str


class Rejection(msgspec.Struct, frozen=True):
    index: int
    errors: list[Problem]


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where a batch came from, for the ledger and for what may be concluded from it."""

    source: str  # the door and its dialect: NATIVE, "import", …
    key_name: str = ""
    agent: str = ""  # of a trace whose sender names none
    backfill: bool = False


class Batch(msgspec.Struct, kw_only=True):
    """What a door read from one request or one stretch of a file."""

    received: int = 0
    spans: list[SpanRecord] = []
    traces: dict[UUID, TraceRecord] = {}
    told: list[Told] = []  # calls that messages tell of, before they are joined with the spans
    rejected: list[Rejection] = []
    is_otlp: bool = False  # its requests tell of calls that are in others, or will be
    ignored: int = 0  # taken and not kept: data points, log records that name no trace; they count as accepted
    is_innocent: bool = False  # one look at the whole request found nothing that could be a secret
    redacted: dict[str, int] = {}  # secrets that were taken out, each once, by kind

    def trace(self, trace: UUID, external_id: str | None) -> TraceRecord:
        found = self.traces.get(trace)
        if found is None:
            found = self.traces[trace] = TraceRecord(trace=trace, external_id=external_id)
        return found


def content_hash(data: bytes) -> int:
    """Return a signed 64-bit hash, as Postgres's bigint holds it."""
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big", signed=True)
