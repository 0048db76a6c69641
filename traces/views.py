"""The pages of this room: traces, one trace, sessions, one session, the ledger of batches, one batch."""

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_GET

from agentops.accounts.policy import may
from agentops.accounts.request import ProjectRequest
from agentops.accounts.scoped import get_scoped_or_404
from agentops.web.keyset import CursorError, KeysetPage, keyset_page
from agentops.web.pages import is_part_wanted, render_page
from traces import activity, queries
from traces.alerts import evidence
from traces.alerts import queries as alert_queries
from traces.ids import trace_key
from traces.ingest.report import report
from traces.models import IngestBatch, Session, Trace, TraceStatus
from traces.queries import TraceFilters
from traces.search.find import find, lag_s
from traces.search.snippet import Match
from traces.search.words import QueryError, read_query

ROWS = 50
WINDOW = 100  # steps drawn at once
HISTOGRAM_BARS = 120
Row = tuple[Trace, evidence.Found, Match | None]
NO_MATCHES: Mapping[UUID, Match] = {}
DAY = timedelta(hours=24)
WINDOWS = {"1h": timedelta(hours=1), "24h": DAY, "7d": timedelta(days=7)}
TRACES_OF_A_BATCH = 50  # linked on its page
FILTERS = ("session", "agent", "status", "tool", "pattern", "words")
# One word of the filter field: `agent:"support desk"`, `"a phrase"`, `refun*`.
FIELD_WORD = re.compile(r'(?:[^\s"]|"[^"]*"?)+')


@require_GET
def trace_list(request: ProjectRequest) -> HttpResponse:
    """List traces; an id in the search field leads to its trace. Four queries; two for a part; seven more for words."""
    filters = read_filters(request)
    if request.GET.get("q") and (found := queries.trace_by_id(request.project, filters.words)):
        return redirect(found)
    page, search = _found(request, filters)
    context: dict[str, Any] = {
        "page": page,
        "rows": _with_findings(page, search.get("matches", NO_MATCHES)),
        "search": search,
        "filters": filters,
        "tokens": [(name, getattr(filters, name)) for name in FILTERS if getattr(filters, name)],
        "query": _query(filters),
    }
    if not is_part_wanted(request):
        now = timezone.now()
        context["facets"] = activity.facets(request.project, now - DAY)
        context["histogram"] = activity.per_interval(request.project, now - DAY, now, HISTOGRAM_BARS)
        context["since"], context["until"] = now - DAY, now
    return render_page(request, "traces/list.html", context, partial="rows")


def _found(request: ProjectRequest, filters: TraceFilters) -> tuple[KeysetPage[Trace], dict[str, Any]]:
    """Return a page of the traces that fit, and, where words are looked for, what the page says of the search."""
    rows = alert_queries.with_pattern(queries.traces(request.project, filters), filters.pattern)
    if not filters.words:
        return page_of(request, rows), {}
    try:
        terms = read_query(filters.words)
    except QueryError as error:
        return KeysetPage([], None), {"error": str(error)}
    page, matches = page_of(request, rows, find, project=request.project, terms=terms)
    return page, {"matches": matches, "lag_s": lag_s(request.project)}


@require_GET
def session_list(request: ProjectRequest) -> HttpResponse:
    """List sessions with the sums of their traces. Two queries."""
    page = page_of(request, queries.sessions(request.project))
    sums = queries.session_sums([session.pk for session in page.results])
    rows = [(session, sums.get(session.pk, queries.SessionSums())) for session in page.results]
    return render_page(request, "traces/sessions.html", {"page": page, "rows": rows}, partial="rows")


@require_GET
def session_detail(request: ProjectRequest, session_id: UUID) -> HttpResponse:
    """Show one session: its sums and its traces. Four queries."""
    session = get_scoped_or_404(Session, request.project, pk=session_id)
    page = page_of(request, queries.traces(request.project).filter(session=session))
    sums = queries.session_sums([session.pk]).get(session.pk, queries.SessionSums())
    context = {"session": session, "page": page, "rows": _with_findings(page), "sums": sums}
    return render_page(request, "traces/session.html", context, partial="rows")


def _with_findings(page: KeysetPage[Trace], matches: Mapping[UUID, Match] = NO_MATCHES) -> list[Row]:
    """Return the traces of a page with what was found in them. One query."""
    found = alert_queries.found_on(page.results)
    return [(trace, evidence.Found(found.get(trace.pk, [])), matches.get(trace.pk)) for trace in page.results]


@require_GET
def trace_detail(request: ProjectRequest, trace_id: str) -> HttpResponse:
    """Show one trace: its facts, a window of its steps, and the chosen step with its bodies. Four to nine queries.

    `step` names the chosen step's span, `from` the place of the first step of the window. htmx asks for a part by its
    own header: the rows of a window, or the detail of a step.
    """
    trace = queries.trace_or_404(request.project, trace_id)
    if trace.trace_id != trace_key(trace_id)[0]:  # one call of a thread
        query = request.META["QUERY_STRING"]
        return redirect(f"{trace.get_absolute_url()}?{query}" if query else trace)
    chosen = queries.step_or_404(trace, request.GET["step"]) if request.GET.get("step") else None
    if chosen and is_part_wanted(request):
        return render_page(request, "traces/trace.html", {"trace": trace, "chosen": chosen}, partial="detail")
    start = _window_start(request, trace, chosen)
    steps = queries.step_window(trace, start, WINDOW)
    following = start + len(steps)
    found = alert_queries.found_on([trace], in_shadow=True).get(trace.pk, [])
    ranges = evidence.ranges(trace, found)
    context = {
        "trace": trace,
        "may_stop": may(request.membership, "stop") and trace.may_be_stopped,
        "chosen": chosen,
        "findings": len(found),
        "ranges": ranges,
        "unplaced": evidence.unplaced(found),
        "unjudged": evidence.unjudged(trace),
        "segments": evidence.segments(steps, ranges),
        "start": start,
        "previous": max(start - WINDOW, 0) if start else None,
        "next": following if following < trace.steps else None,
        "windows": range(0, trace.steps, WINDOW),
    }
    return render_page(request, "traces/trace.html", context, partial="steps")


@require_GET
def ingest(request: ProjectRequest) -> HttpResponse:
    """Show what was read in the newest traces, what they lack, and what would bring it. Three queries."""
    now = timezone.now()
    context = {
        "clients": report(request.project),
        "batch": activity.last_batch(request.project),
        "sums": activity.ledger(request.project, now - DAY),
    }
    return render_page(request, "traces/ingest.html", context, partial="report")


def _window_start(request: HttpRequest, trace: Trace, chosen: queries.Step | None) -> int:
    asked = request.GET.get("from", "")
    if asked.isascii() and asked.isdigit():
        return min(int(asked[:9]), max(trace.steps - 1, 0))
    return chosen.position // WINDOW * WINDOW if chosen else 0


@require_GET
def batch_list(request: ProjectRequest) -> HttpResponse:
    """List the batches of a stretch of time, and sum up what became of them. Two queries; one for a part."""
    window = request.GET.get("window", "")
    window = window if window in WINDOWS else "24h"
    source, rejected = request.GET.get("source", "")[:50].replace("\x00", ""), bool(request.GET.get("rejected"))
    since = timezone.now() - WINDOWS[window]
    chosen = {"window": window, "source": source, "rejected": "1" if rejected else ""}
    context: dict[str, Any] = {
        "page": page_of(request, queries.batches(request.project, since, source=source, rejected=rejected)),
        "window": window,
        "source": source,
        "rejected": rejected,
        "query": urlencode({name: value for name, value in chosen.items() if value}),
    }
    if not is_part_wanted(request):
        context["windows"] = list(WINDOWS)
        context["by_source"] = by_source = activity.ledger_by_source(request.project, since)
        context["sums"] = activity.in_all({source: by_source[source]} if source in by_source else by_source)
        context["all_batches"] = sum(sums["batches"] for sums in by_source.values())
    return render_page(request, "traces/batches.html", context, partial="rows")


@require_GET
def batch_detail(request: ProjectRequest, batch_id: str) -> HttpResponse:
    """Show what became of one batch, by the id in its answer: why items were rejected, its traces. Two queries."""
    batch = get_scoped_or_404(IngestBatch, request.project, pk=batch_id)
    shown = batch.traces[:TRACES_OF_A_BATCH]
    context = {
        "batch": batch,
        "more_rejected": batch.rejected_count - len(batch.rejected),
        "traces": Trace.objects.of(request.project).filter(trace_id__in=shown).order_by("-received_at", "-id"),
        "more_traces": len(batch.traces) - len(shown),
    }
    return render_page(request, "traces/batch.html", context)


def page_of(request: HttpRequest, rows: Any, read: Callable[..., Any] = keyset_page, **by: Any) -> Any:
    """Return the page that `after` names, as `read` makes it; a cursor of another list starts at the top."""
    try:
        return read(rows, after=request.GET.get("after"), limit=ROWS, **by)
    except CursorError:
        return read(rows, after=None, limit=ROWS, **by)


def read_filters(request: HttpRequest) -> TraceFilters:
    """Return the filters of the address, and of the field's `agent:desk tool:search and other words`."""
    given = {name: request.GET.get(name, "")[:200].replace("\x00", "") for name in FILTERS}
    words = [given["words"]] if given["words"] else []
    for word in FIELD_WORD.findall(request.GET.get("q", "")[:1000].replace("\x00", "")):
        name, colon, value = word.partition(":")
        if colon and name in FILTERS:
            given[name] = value.strip('"')
        else:
            words.append(word)
    if given["status"] not in TraceStatus.values:
        given["status"] = ""
    chosen = given | {"words": " ".join(words)[:200]}
    return TraceFilters(**{name: chosen[name] for name in FILTERS})  # type: ignore[arg-type]  # none of FILTERS is a time


def _query(filters: TraceFilters) -> str:
    return urlencode({name: getattr(filters, name) for name in FILTERS if getattr(filters, name)})
