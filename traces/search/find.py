"""Finding traces by their words: which ones, the step in which each has them, and how far search lags behind.

The index tells which traces have all the words. It is asked about the newest traces first, which is enough where words
are common: then nothing has to be sorted. A phrase is looked for in the steps of the few traces of a page.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F, QuerySet
from django.db.models.expressions import RawSQL
from django.db.models.functions import Now

from agentops.accounts.models import Project
from agentops.web.keyset import KeysetPage, behind, cursor_of, keyset_page
from traces.models import IngestBatch, Trace
from traces.search.index import about_texts
from traces.search.snippet import Match, match_in
from traces.search.words import Term

ROUNDS = 4  # pages of traces with the words of a phrase that are looked through for the phrase itself

_HAVE_IT = "SELECT trace_id FROM search_tracewords WHERE project_id = %s AND words @@ %s::tsquery"
# Materialized, or the planner looks at the words of one trace after the other.
_HITS = "WITH hit AS MATERIALIZED ({}) SELECT trace_id FROM hit"
# The first step that has a term, by arrival: a common one is in the first step or the second. The word between two
# texts keeps a phrase from beginning in one and ending in the next. As in detectors/stored.py, no project.
_STEP = """
SELECT t.id, s.* FROM unnest(%s::uuid[], %s::date[]) AS t (id, day)
CROSS JOIN LATERAL (
    SELECT s.span_id, s.event_type IS NOT NULL, s.text, s.error, s.tool_name, s.input, s.output, s.thinking, s.name,
        s.agent, s.model, s.decision
    FROM traces_span s
    CROSS JOIN LATERAL lower(concat_ws(' x0 ', s.text, s.error, s.tool_name, s.input, s.output, s.thinking, s.name,
        s.agent, s.model, s.decision)) AS said
    WHERE s.trace_day = t.day AND s.trace_day = ANY(%s) AND s.trace_ref_id = t.id AND ({})
    ORDER BY s.arrival LIMIT 1
) AS s
"""


class Found(NamedTuple):
    """A page of traces, and where each of them has what was looked for; a trace whose name has it has no step."""

    page: KeysetPage[Trace]
    matches: Mapping[UUID, Match]


def find(rows: QuerySet[Trace], *, project: Project, terms: list[Term], after: str | None, limit: int) -> Found:
    """Return the traces of some rows that have all the terms, newest first.

    Four queries for words, and the three statements of _by_index. A phrase costs one more, and all of it again for each
    page on which fewer than were asked for have it; after four such pages the answer is short, and `next` goes on.
    Raises CursorError.
    """
    phrases = [term for term in terms if term.is_phrase]
    kept: list[Trace] = []
    matches: dict[UUID, Match] = {}
    for _ in range(ROUNDS):
        with _by_index():
            page = keyset_page(_with_words(rows, terms, project, after, limit), after=after, limit=limit)
        matches |= _matches(page.results, terms)
        kept += [trace for trace in page if not phrases or trace.pk in matches or _is_named(trace, phrases)]
        after = page.next
        if after is None or len(kept) >= limit:
            break
    if len(kept) > limit:
        kept, after = kept[:limit], cursor_of(kept[limit - 1])
    return Found(KeysetPage(kept, after), matches)


def lag_s(project: Project | None = None) -> float:
    """Return for how long the oldest batch has waited that search does not know, 0 when none does. One query."""
    rows = IngestBatch.objects.all() if project is None else IngestBatch.objects.of(project)
    waiting = rows.filter(is_indexed=False).order_by("received_at").annotate(age=Now() - F("received_at"))
    age = waiting.values_list("age", flat=True).first()
    return age.total_seconds() if age else 0.0


def _with_words(
    rows: QuerySet[Trace], terms: list[Term], project: Project, after: str | None, limit: int
) -> QuerySet[Trace]:
    """Return the rows with all words of the terms, as far as a page needs them. Two queries."""
    have_all = _HITS.format(" INTERSECT ".join([_HAVE_IT] * len(terms)))
    params = [value for term in terms for value in (project.pk, term.tsquery)]
    enough = 2 * (limit + 1)
    newest = list(behind(rows, after).values_list("pk", flat=True)[:enough])
    with connection.cursor() as cursor:
        cursor.execute(have_all + " WHERE trace_id = ANY(%s)", [*params, newest])
        found = {trace for (trace,) in cursor.fetchall()}
    if len(found) > limit or len(newest) < enough:
        return rows.filter(pk__in=found)
    return rows.filter(pk__in=RawSQL(have_all, params))  # noqa: S611 - made of constants


@contextmanager
def _by_index() -> Iterator[None]:
    """Let words be looked up in their index alone. Three statements.

    The planner would rather look at all rows of a small table: it does not know that the words of a row, out of line
    and compressed, cost a thousand times what the row costs.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        yield


def _matches(traces: list[Trace], terms: list[Term]) -> dict[UUID, Match]:
    """Return the first step of each trace that has one of the terms; of phrases, if every one is in some step.

    One query; for phrases one each.
    """
    phrases = [term for term in terms if term.is_phrase]
    found = [_steps(traces, [phrase], terms) for phrase in phrases] or [_steps(traces, terms, terms)]
    return {trace: match for trace, match in found[0].items() if all(trace in other for other in found)}


def _steps(traces: list[Trace], wanted: list[Term], marked: list[Term]) -> dict[UUID, Match]:
    conditions = [" AND ".join([*["strpos(said, %s) > 0"] * len(term.words), "said ~ %s"]) for term in wanted]
    params = [value for term in wanted for value in (*term.words, term.expression)]
    statement = _STEP.format(" OR ".join(f"({condition})" for condition in conditions))
    days = [trace.trace_day for trace in traces]
    with connection.cursor() as cursor:
        cursor.execute(statement, [[trace.pk for trace in traces], days, list(set(days)), *params])
        rows = cursor.fetchall()
    found = {row[0]: match_in((row[1], row[2]), row[3:], wanted, marked) for row in rows}
    return {trace: match for trace, match in found.items() if match}


def _is_named(trace: Trace, phrases: list[Term]) -> bool:
    """Say whether all phrases stand in what is known of the trace itself."""
    about = "\n".join(about_texts(trace)).lower()
    return all(re.search(phrase.expression, about) for phrase in phrases)
