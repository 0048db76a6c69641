"""Reading what came in: the words of new steps are added to those of their traces, after the senders had their answer.

A batch waits for it by its row in the ledger, so that taking a batch in costs nothing for search. How far a trace was
read is a place in its order of arrival; batches of one trace are committed in that order, so nothing is left out.
"""

import time
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from uuid_utils.compat import uuid7

from traces.models import IngestBatch, Trace
from traces.search.models import IndexJob
from traces.search.words import kept_words, plain_text, words_of

RUN_S = 5.0  # of one run of the job; the next one goes on
STEPS_AT_ONCE = 4_000
BATCHES_AT_ONCE = 200
# A row is written anew with all its entries in the index, so a large one is left alone when little comes: then the
# trace gets another row. A row holds less than Postgres can put into one, whatever the words.
GROWTH = 4
MAX_IN_ROW = 10_000
SPANS_AT_ONCE = 200

_SPANS = """
SELECT s.trace_ref_id, s.arrival, s.input, s.output, s.name, s.tool_name, s.agent, s.model, s.decision, s.text,
    s.thinking, s.error
FROM unnest(%(refs)s::uuid[], %(days)s::date[], %(since)s::int[]) AS t (ref, day, since)
JOIN traces_span s ON s.trace_day = t.day AND s.trace_ref_id = t.ref AND s.arrival >= t.since
WHERE s.trace_day = ANY(%(among)s)
"""
_LAST = """
SELECT DISTINCT ON (trace_id) trace_id, id, until, length(words) FROM search_tracewords
WHERE trace_id = ANY(%s) ORDER BY trace_id, until DESC
"""
_GROW = "UPDATE search_tracewords SET until = %s, words = words || %s::tsvector WHERE id = %s"
_ADD = "COPY search_tracewords (until, words, id, project_id, trace_id) FROM STDIN"


class Last(NamedTuple):
    """The newest row of a trace: its id, how far it goes in the order of arrival, and how many words it has."""

    id: UUID | None = None
    until: int = 0
    length: int = 0


class News:
    """What a trace's new steps say."""

    def __init__(self, trace: Trace, last: Last) -> None:
        self.trace = trace
        self.last = last
        self.until = last.until
        self.words: set[str] = set()

    def rows(self) -> Iterator[tuple[int, str, UUID | None]]:
        """Yield what to write: how far it goes, the words, and the row to grow, or None for another one."""
        words = list(kept_words(self.words))
        old, new = self.last.length, len(words)
        if self.last.id and old + new <= MAX_IN_ROW and old <= GROWTH * new:
            yield self.until, " ".join(words), self.last.id
        else:
            for start in range(0, new, MAX_IN_ROW):
                yield self.until, " ".join(words[start : start + MAX_IN_ROW]), None


def index_waiting(project_id: UUID) -> None:
    """Index what waits in a project, for about five seconds; touch its job again where more waits.

    Six statements for up to 200 batches, and one for each of their traces. Runs inside the caller's transaction.
    """
    end = time.monotonic() + RUN_S
    while batches := _next(project_id):
        _index(project_id, {trace for batch in batches for trace in batch.traces})
        IngestBatch.objects.filter(pk__in=[batch.pk for batch in batches]).update(is_indexed=True)
        if time.monotonic() > end:
            IndexJob.objects.touch([IndexJob(project_id=project_id)])
            return


def _next(project_id: UUID) -> list[IngestBatch]:
    waiting = IngestBatch.objects.of(project_id).filter(is_indexed=False).order_by("received_at")
    chosen: list[IngestBatch] = []
    steps = 0
    for batch in waiting.only("id", "traces", "received")[:BATCHES_AT_ONCE]:
        steps += batch.received
        if chosen and steps > STEPS_AT_ONCE:
            break
        chosen.append(batch)
    return chosen


def _index(project_id: UUID, trace_ids: Iterable[UUID]) -> None:
    traces = Trace.objects.of(project_id).filter(trace_id__in=trace_ids).select_related("session")
    with connection.cursor() as cursor:
        cursor.execute(_LAST, [[trace.pk for trace in traces]])
        last = {row[0]: Last(*row[1:]) for row in cursor.fetchall()}
    news = {trace.pk: News(trace, last.get(trace.pk, Last())) for trace in traces}
    for trace_ref, arrival, *texts in _spans(news.values()):
        one = news[trace_ref]
        one.until = max(one.until, arrival + 1)
        for text in _said(texts):
            one.words.update(words_of(text))
    for one in news.values():
        if one.words or not one.last.id:
            for text in about_texts(one.trace):
                one.words.update(words_of(text))
    _write(project_id, news.values())


def _spans(news: Iterable[News]) -> Iterator[tuple[Any, ...]]:
    """Yield the new spans, a few at a time, whatever the size of their bodies."""
    sent: dict[str, Any] = {
        "refs": [one.trace.pk for one in news],
        "days": [one.trace.trace_day for one in news],
        "among": list({one.trace.trace_day for one in news}),
        "since": [one.last.until for one in news],
    }
    with connection.chunked_cursor() as cursor:
        cursor.execute(_SPANS, sent)
        while rows := cursor.fetchmany(SPANS_AT_ONCE):
            yield from rows


def _said(texts: list[str | None]) -> Iterator[str]:
    """Yield the texts of a span, in the order of _SPANS: two bodies in JSON, then plain ones."""
    yield from (plain_text(text) for text in texts[:2] if text)
    yield from (text for text in texts[2:] if text)


def about_texts(trace: Trace) -> Iterator[str]:
    """Yield what is known of a trace beside its steps."""
    session = trace.session.session_id if trace.session else ""
    names = (trace.name, trace.external_trace_id or "", trace.agent, trace.user, trace.environment, trace.release)
    return filter(None, (*names, trace.id_hex, session))


def _write(project_id: UUID, news: Iterable[News]) -> None:
    rows = [(one, *row) for one in news for row in one.rows()]
    grown = [(until, words, row_id) for _, until, words, row_id in rows if row_id]
    added = [(until, words, uuid7(), project_id, one.trace.pk) for one, until, words, row_id in rows if not row_id]
    with connection.cursor() as cursor:
        if grown:
            cursor.executemany(_GROW, grown)
        if added:
            with cursor.copy(_ADD) as copy:
                for row in added:
                    copy.write_row(row)
