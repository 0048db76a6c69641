"""Reads that pages and the API share; each says how many queries it costs."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import models
from django.db.models import Count, Max, Min, Q, QuerySet, Sum, Value, Window
from django.db.models.functions import Coalesce, RowNumber
from django.http import Http404
from django.urls import reverse

from agentops.accounts.models import Project
from traces.ids import trace_key
from traces.models import IngestBatch, Session, Span, Trace
from traces.threads.models import kept_as, with_parts

# Everything a row of a list or a tree shows; no body, whatever its size.
SLIM = (
    "span_id", "parent_span_id", "step_number", "event_type", "name", "tool_name", "agent", "model", "approval_id",
    "decision", "started_at", "ended_at", "received_at", "is_error", "revised", "repaired", "synthetic_time",
    "input_tokens", "output_tokens", "context_tokens", "cost_usd", "output_size", "input_preview", "output_preview",
)  # fmt: skip
LAST = 2_147_483_647
STEP_ORDER = ("place", "started_at", "end", "span_id")  # of the rows of in_step_order()


@dataclass(frozen=True)
class TraceFilters:
    """What a list of traces is narrowed to; an empty one says nothing."""

    session: str = ""
    agent: str = ""
    status: str = ""
    tool: str = ""
    words: str = ""  # looked for by traces.search, above this room
    pattern: str = ""  # of a finding; the rooms above this one narrow by it
    since: datetime | None = None
    until: datetime | None = None


def traces(project: Project, filters: TraceFilters = TraceFilters()) -> QuerySet[Trace]:
    """Return the traces of a project that fit, for a keyset page. One query, by an index for each filter.

    Words and patterns narrow it further, in the rooms above.
    """
    rows = Trace.objects.of(project).select_related("session")
    if filters.session:
        rows = rows.filter(session=Session.objects.of(project).filter(session_id=filters.session)[:1])
    if filters.agent:
        rows = rows.filter(agent=filters.agent)
    if filters.status:
        rows = rows.filter(status=filters.status)
    if filters.tool:
        rows = rows.filter(tool_names__contains=[filters.tool])
    if filters.since:
        rows = rows.filter(received_at__gte=filters.since)
    if filters.until:
        rows = rows.filter(received_at__lt=filters.until)
    return rows


def trace_by_id(project: Project, text: str) -> Trace | None:
    """Return the trace whose id of the wire or sender's own string this is. One query, none for an empty text."""
    return Trace.objects.of(project).filter(trace_id=kept_as(project, trace_key(text)[0])).first() if text else None


def trace_or_404(project: Project, address: str) -> Trace:
    """Return a trace by the id of the wire or the sender's own string. One query. Raises Http404.

    What was one call of a thread leads to the trace that keeps it.
    """
    rows = with_parts(Trace.objects.of(project).select_related("session", "stop__by"))
    try:
        return rows.get(trace_id=kept_as(project, trace_key(address)[0]))
    except Trace.DoesNotExist:
        raise Http404("Nothing is here.") from None


def batches(project: Project, since: datetime, *, source: str = "", rejected: bool = False) -> QuerySet[IngestBatch]:
    """Return batches received since a moment, of one source and with rejections where asked. One query."""
    rows = IngestBatch.objects.of(project).filter(received_at__gte=since).defer("rejected", "traces")
    rows = rows.filter(source=source) if source else rows
    return rows.filter(rejected_count__gt=0) if rejected else rows


def sessions(project: Project) -> QuerySet[Session]:
    return Session.objects.of(project)


@dataclass(frozen=True)
class SessionSums:
    """What the traces of one session add up to."""

    traces: int = 0
    running: int = 0
    steps: int = 0
    errors: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal | None = None
    estimated_usd: Decimal = Decimal(0)
    unpriced: int = 0
    started_at: datetime | None = None
    last_received_at: datetime | None = None
    agent: str = ""


def session_sums(session_ids: list[UUID]) -> Mapping[UUID, SessionSums]:
    """Return the sums of each session of a page. One query."""
    rows = (
        Trace.objects.filter(session__in=session_ids)
        .values("session")
        .annotate(
            traces=Count("id"),
            running=Count("id", filter=Q(status="running")),
            steps=Sum("steps"),
            errors=Sum("errors"),
            input_tokens=Sum("input_tokens"),
            output_tokens=Sum("output_tokens"),
            cost_usd=Sum("cost_usd"),
            estimated_usd=Sum("estimated_usd"),
            unpriced=Sum("unpriced"),
            started_at=Min("started_at"),
            last_received_at=Max("last_received_at"),
            agent=Max("agent"),
        )
    )
    return {row["session"]: SessionSums(**{name: row[name] for name in SUMS}) for row in map(dict[str, Any], rows)}


SUMS = tuple(field.name for field in fields(SessionSums))


class Step:
    """A slim row of a trace with its place: what a list of steps shows."""

    def __init__(self, span: Span, position: int, trace: Trace) -> None:
        self.span = span
        self.position = position  # from 0, in step order
        self.trace = trace

    def __getattr__(self, name: str) -> Any:
        return getattr(self.span, name)

    @property
    def number(self) -> int:
        """The sender's number, else its place, from 1."""
        return self.position + 1 if self.span.step_number is None else self.span.step_number

    @property
    def duration_ms(self) -> float | None:
        return duration_ms(self.span)

    @property
    def offset_s(self) -> float:
        """Seconds since the trace began."""
        start = self.trace.started_at or self.span.started_at
        return max((self.span.started_at - start).total_seconds(), 0.0)

    @property
    def failed(self) -> bool:
        return bool(self.span.is_error) or self.span.event_type == "error"

    @property
    def api_url(self) -> str:
        """Where the step can be read as it was sent."""
        return reverse("traces-api:step", args=[self.trace.id_hex, self.span.span_id])

    @property
    def is_customer(self) -> bool:
        """A message of a person, rather than a person's decision."""
        return self.span.event_type == "human_gate" and not self.span.approval_id and not self.span.decision


def duration_ms(span: Span) -> float | None:
    if span.ended_at is None:
        return None
    value = max((span.ended_at - span.started_at).total_seconds(), 0.0) * 1000
    return int(value) if value == int(value) else round(value, 3)


def in_step_order(trace: Trace) -> QuerySet[Span]:
    """Return the steps of a trace, the sender's numbers first, else by time."""
    return _ordered(Span.objects.of(trace.project_id).filter(trace_day=trace.trace_day, trace_ref=trace))


def _ordered(spans: QuerySet[Span]) -> QuerySet[Span]:
    end = Coalesce("ended_at", Value(datetime.max.replace(tzinfo=UTC), output_field=models.DateTimeField()))
    steps = spans.filter(event_type__isnull=False).annotate(place=Coalesce("step_number", Value(LAST)), end=end)
    return steps.order_by(*STEP_ORDER)


def step_window(trace: Trace, start: int, length: int) -> list[Step]:
    """Return `length` steps from place `start` on, without bodies. One query, in one partition."""
    spans = in_step_order(trace).only(*SLIM)[start : start + length]
    return [Step(span, start + i, trace) for i, span in enumerate(spans)]


def last_steps(trace: Trace, length: int, *, until: datetime | None = None) -> list[Step]:
    """Return the last steps of a trace, of those received until a moment where one is given. One query.

    Their places are counted among those steps.
    """
    rows = in_step_order(trace)
    if until is not None:
        rows = rows.filter(received_at__lte=until)
    places = Window(RowNumber(), order_by=STEP_ORDER)
    spans = list(rows.annotate(at=places).only(*SLIM).reverse()[:length])
    return [Step(span, span.at - 1, trace) for span in reversed(spans)]


def full_steps(trace: Trace, start: int, length: int) -> list[Step]:
    """Return steps with their bodies and toolsets. One query."""
    spans = in_step_order(trace).select_related("toolset")[start : start + length]
    return [Step(span, start + i, trace) for i, span in enumerate(spans)]


def step_or_404(trace: Trace, span_id: str) -> Step:
    """Return one step with its bodies and its place. Two queries. Raises Http404."""
    spans = in_step_order(trace)
    # Postgres has no NUL in its texts, so no step has.
    span = None if "\x00" in span_id else spans.select_related("toolset").filter(span_id=span_id).first()
    if span is None:
        raise Http404("Nothing is here.")
    return Step(span, spans.filter(stands_before(span)).count(), trace)


def stands_before(span: Span) -> Q:
    """Return the condition for steps that come before this one of `in_step_order`."""
    place, end = span.place, span.end  # type: ignore[attr-defined]  # in_step_order adds them
    same_start = Q(place=place, started_at=span.started_at)
    return (
        Q(place__lt=place)
        | Q(place=place, started_at__lt=span.started_at)
        | same_start & (Q(end__lt=end) | Q(end=end, span_id__lt=span.span_id))
    )


def newest(project: Project, filters: TraceFilters, limit: int) -> QuerySet[Trace]:
    """Return the traces received last. One query."""
    return traces(project, filters).order_by("-received_at", "-id")[:limit]
