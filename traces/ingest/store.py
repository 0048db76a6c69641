"""The one writer of spans: a batch becomes rows, sums, jobs and a ledger entry in one transaction, then a notice."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from itertools import pairwise
from typing import Any
from uuid import UUID

import msgspec
from django.db import IntegrityError, OperationalError, connection, transaction
from psycopg.errors import DeadlockDetected, SerializationFailure
from uuid_utils.compat import uuid7

from agentops.accounts.models import Project
from agentops.web.news import tell_pages
from traces.ingest import merge, newcomers, rollup
from traces.ingest.agents import limit_agents
from traces.ingest.columns import Placed, copy_rows, row
from traces.ingest.cost import estimated
from traces.ingest.joins import Joined, join_stored
from traces.ingest.record import Batch, Origin, Rejection, SpanRecord, ToolsetRecord, TraceRecord
from traces.ingest.redact import redact
from traces.ingest.threads import fold
from traces.ingest.trace_rows import RacedError, TraceRow, lock_traces, write_traces
from traces.ingest.upsert import as_json, upsert_sessions, upsert_toolsets
from traces.models import DetectJob, IngestBatch
from traces.signals import stored

NOTIFY_AT_MOST = 50  # trace ids in one notice; a browser that misses some reads its list again
RETRIES = 3


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a batch; received = accepted + duplicates + rejected. Of the accepted, some were repaired."""

    batch_id: UUID
    accepted: int
    duplicates: int
    repaired: int
    rejected: list[Rejection]
    traces: list[UUID]


def store(project: Project, batch: Batch, origin: Origin) -> Receipt:
    """Commit a batch, without its secrets, and return its receipt; when this returns, the batch is durable.

    Raises django.db.OperationalError when the database is away, and TooManyNewError. A deadlock or a serialisation
    failure is tried again, three times, invisibly. Costs about eight statements, whatever the number of spans.

    What is sent for the first time, as nearly all is, is copied straight into the table. Where a span turns out to be
    there already, all of it is done anew by way of a merge: a savepoint for that case would cost everybody more.
    """
    batch = redact(project, batch)
    batch.spans = limit_agents(project.pk, batch.traces.values(), batch.spans)
    if not origin.backfill:
        newcomers.check(project.pk, batch.traces)
    failures, is_new = 0, True
    while True:
        try:
            with transaction.atomic():
                return _store(project, batch, origin, is_new=is_new)
        except RacedError:
            continue  # that trace is there now; a batch has only so many
        except IntegrityError:
            if not is_new:
                raise
            is_new = False
        except OperationalError as error:
            failures += 1
            if failures > RETRIES or not isinstance(error.__cause__, DeadlockDetected | SerializationFailure):
                raise


def _store(project: Project, batch: Batch, origin: Origin, *, is_new: bool) -> Receipt:
    batch = fold(project.pk, batch, origin)
    traces = list(batch.traces.values())
    sessions = upsert_sessions(project.pk, traces)
    rows = lock_traces(project.pk, traces, origin)
    joined = join_stored(project.pk, batch.spans, _days(rows.values())) if batch.is_otlp else Joined(batch.spans)
    if others := {span.trace for span in joined.spans} - rows.keys():
        traces += [_unsaid(trace) for trace in others]
    if joined.changed or others:
        rows = lock_traces(project.pk, traces, origin)
    spans = estimated(joined.spans)
    toolsets = upsert_toolsets(project.pk, _toolsets(spans))
    sums = {about.trace: rollup.Sums(rows[about.trace], about) for about in traces}
    accepted, duplicates, repaired = _write_spans(project, spans, toolsets, sums, is_new=is_new)
    opened, repeated = _count_status_items(traces, rows)
    after = [each.row_after(sessions.get(each.about.session_id), origin.agent) for each in sums.values()]
    write_traces(project.pk, after, origin)
    jobs = DetectJob.objects.touch_rows({"trace_id": row.id} for row in after)
    receipt = Receipt(
        batch_id=uuid7(),
        accepted=accepted + opened + batch.ignored,
        duplicates=duplicates + repeated,
        repaired=repaired,
        rejected=batch.rejected,
        traces=[about.trace for about in traces],
    )
    _enter_in_ledger(project, batch, origin, receipt)
    if traces:
        _notify(project, traces, sessions.values(), accepted)
    transaction.on_commit(lambda: stored.send(DetectJob, job_ids=jobs), robust=True)
    newcomers.note(project.pk, sum(row.is_new for row in after))
    return receipt


def _unsaid(trace: UUID) -> TraceRecord:
    """Return the record of a trace of which a batch says nothing but a result of one of its calls."""
    return TraceRecord(trace=trace)


def _write_spans(
    project: Project,
    spans: Sequence[SpanRecord],
    toolsets: dict[bytes, UUID],
    sums: dict[UUID, rollup.Sums],
    *,
    is_new: bool,
) -> tuple[int, int, int]:
    """Write the spans and return how many were accepted, duplicate, and repaired among the accepted.

    `is_new` says that none of them is stored. Raises django.db.IntegrityError when one is.
    """
    accepted = duplicates = repaired = 0
    for wave in _waves(spans):
        placed = [(span, sums[span.trace]) for span in wave]
        values = _rows(project, placed, toolsets)
        changes = {}
        if is_new:
            copy_rows("traces_span", values)
            is_new = False  # a wave after the first repeats what that has written
        else:
            changes = merge.merge(values, _days(of_trace.row for of_trace in sums.values()))
        for span, of_trace in placed:
            change = changes.get((of_trace.row.id, span.span_id)) if changes else None
            of_trace.add(span, change)
            if span.is_told:
                continue
            if change is not None and not change.added:
                duplicates += 1
                continue
            accepted += 1
            repaired += span.repaired
    return accepted, duplicates, repaired


def _days(rows: Iterable[TraceRow]) -> set[date]:
    """Return the days whose partitions hold these traces: a statement that names them leaves all others out."""
    return {row.trace_day for row in rows}


def _rows(
    project: Project,
    placed: Iterable[tuple[SpanRecord, rollup.Sums]],
    toolsets: dict[bytes, UUID],
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of spans, each with the next place in its trace's order of arrival."""
    key = project.pk.bytes
    for span, of_trace in placed:
        trace, arrival = of_trace.row, of_trace.arrivals
        of_trace.arrivals += 1  # a duplicate leaves a gap, which harms nobody
        toolset = toolsets[span.toolset.sha256].bytes if span.toolset else None
        yield row(span, Placed(key, trace.trace_day, of_trace.key, trace.last_received_at, arrival, False, toolset))


def _waves(spans: Sequence[SpanRecord]) -> Iterable[Sequence[SpanRecord]]:
    """Yield lists in which no span comes twice; a batch without repeats is one list."""
    if not spans:
        return
    # The ids of spans alone are cheaper to compare, and mostly differ between traces too.
    if len({span.span_id for span in spans}) == len(spans) or len({span.key for span in spans}) == len(spans):
        yield spans
        return
    while spans:
        seen: set[tuple[UUID, str]] = set()
        wave: list[SpanRecord] = []
        later: list[SpanRecord] = []
        for span in spans:
            (later if span.key in seen else wave).append(span)
            seen.add(span.key)
        yield wave
        spans = later


def _toolsets(spans: Sequence[SpanRecord]) -> dict[bytes, ToolsetRecord]:
    return {span.toolset.sha256: span.toolset for span in spans if span.toolset}


def _count_status_items(traces: Iterable[TraceRecord], rows: dict[UUID, TraceRow]) -> tuple[int, int]:
    """Return how many bare status items opened or closed a trace, and how many said what was so already."""
    opened = repeated = 0
    for about in traces:
        row = rows[about.trace]
        before = "" if row.is_new else row.status
        # What ends where it began, as a whole export that is read again does, brought nothing.
        said = [before, *about.status_items] if about.status != before else []
        news = sum(status != last for last, status in pairwise(said))
        opened += news
        repeated += len(about.status_items) - news
    return opened, repeated


# By name from one parameter: to make a model's row and quote its columns cost a millisecond.
_LEDGER = """
INSERT INTO traces_ingestbatch (id, project_id, source, key_name, received, accepted, duplicates, repaired, ignored,
                                rejected_count, rejected, traces, redacted)
SELECT id, project, source, key_name, received, accepted, duplicates, repaired, ignored, rejected_count, rejected,
       traces, redacted
FROM json_to_record(%s::json) AS entry (id uuid, project uuid, source text, key_name text, received int, accepted int,
    duplicates int, repaired int, ignored int, rejected_count int, rejected jsonb, traces uuid[], redacted jsonb)
"""


def _enter_in_ledger(project: Project, batch: Batch, origin: Origin, receipt: Receipt) -> None:
    entry = {
        "id": receipt.batch_id,
        "project": project.pk,
        "source": origin.source,
        "key_name": origin.key_name,
        "received": batch.received,
        "accepted": receipt.accepted,
        "duplicates": receipt.duplicates,
        "repaired": receipt.repaired,
        "ignored": batch.ignored,
        "rejected_count": len(batch.rejected),
        "rejected": batch.rejected[: IngestBatch.MAX_REASONS],
        "traces": receipt.traces,
        "redacted": batch.redacted,
    }
    with connection.cursor() as cursor:
        cursor.execute(_LEDGER, [as_json(entry)])


def _notify(project: Project, traces: Sequence[TraceRecord], sessions: Iterable[UUID], steps: int) -> None:
    """Tell the pages, once for the whole batch; delivered by Postgres when the transaction commits."""
    tell_pages(
        project.pk,
        "stored",
        traces=[about.trace.hex for about in traces[:NOTIFY_AT_MOST]],
        sessions=[session.hex for session in list(sessions)[:NOTIFY_AT_MOST]],
        steps=steps,
    )
