"""The read API of this room: sessions, traces, steps, export, ingest batches."""

from typing import Any, ClassVar
from uuid import UUID

from django.http import Http404, StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agentops.accounts.project_view import CONTEXT, PAGING, ListQuery, ProjectView
from agentops.accounts.scoped import get_scoped_or_404
from agentops.web.keyset import decode_cursor, encode_cursor
from agentops.web.problems import problem
from traces import queries, wire
from traces.alerts import queries as alert_queries
from traces.api.ingest import post_traces
from traces.api.rationed import AllTakenError, Rationed
from traces.api.serializers import (
    BatchOut,
    MatchOut,
    ReceiptOut,
    SessionOut,
    StepOut,
    StepsIn,
    TraceFound,
    TraceOut,
    TraceQuery,
)
from traces.export import export
from traces.models import IngestBatch, Session, Trace
from traces.search.find import find, lag_s
from traces.search.words import read_query


class TraceList(ProjectView):
    scopes: ClassVar[dict[str, str]] = {"POST": "ingest"}

    @extend_schema(
        request={"application/json": StepsIn, "application/x-ndjson": OpenApiTypes.STR}, responses=ReceiptOut
    )
    def post(self, request: Request) -> HttpResponseBase:
        """Store steps: one, a list, `{"steps": […]}` or one a line. The answer 200 says: committed."""
        return post_traces(self.asked)

    @extend_schema(parameters=[TraceQuery, *PAGING], responses=TraceFound(many=True))
    def get(self, request: Request) -> Response:
        """List traces, newest first by receipt. Two queries; nine with `q`, and some more for a phrase.

        With `q`, the answer says for how many seconds the oldest batch has waited that search does not know yet.
        """
        filters = queries.TraceFilters(**self.query(TraceQuery))
        rows = alert_queries.with_pattern(queries.traces(self.project, filters), filters.pattern)
        if not filters.words:
            page = self.page(rows)
            return Response({"results": _traces(page.results), "next": page.next})
        page, matches = self.page(rows, find, project=self.project, terms=read_query(filters.words))
        results = _traces(page.results)
        for trace, result in zip(page.results, results, strict=True):
            match = matches.get(trace.pk)
            result["match"] = dict(MatchOut(match).data) if match else None
        return Response({"results": results, "next": page.next, "search_lag_s": lag_s(self.project)})


class TraceDetail(ProjectView):
    @extend_schema(responses=TraceOut)
    def get(self, request: Request, trace_id: str) -> Response:
        """Return one trace by its id or the sender's own string. Two queries."""
        (trace,) = _traces([queries.trace_or_404(self.project, trace_id)])
        return Response(trace)


def _traces(rows: list[Trace]) -> list[dict[str, Any]]:
    """Return traces as the API shows them, with what was found in them. One query."""
    found = alert_queries.found_on(rows)
    return [
        wire.trace_as_shown(trace, patterns=alert_queries.patterns(found.get(trace.pk, ())), **CONTEXT)
        for trace in rows
    ]


class StepList(ProjectView):
    @extend_schema(parameters=PAGING, responses=StepOut(many=True))
    def get(self, request: Request, trace_id: str) -> Response:
        """List the steps of a trace as they were sent, in step order. Two queries."""
        self.query(ListQuery)
        trace = queries.trace_or_404(self.project, trace_id)
        paging = self.query_page()
        steps = queries.full_steps(trace, self._start(paging["after"]), paging["limit"] + 1)
        shown = steps[: paging["limit"]]
        following = encode_cursor([shown[-1].position + 1]) if len(steps) > len(shown) else None
        return Response({"results": [wire.step_as_sent(step) for step in shown], "next": following})

    def _start(self, after: str) -> int:
        try:
            place = int(decode_cursor(after, 1)[0]) if after else 0
        except ValueError:
            place = -1
        if not 0 <= place <= queries.LAST:
            raise serializers.ValidationError({"after": "The cursor is not one of this list."})
        return place


class StepDetail(ProjectView):
    @extend_schema(responses=StepOut)
    def get(self, request: Request, trace_id: str, span_id: str) -> Response:
        """Return one step as it was sent. Three queries."""
        trace = queries.trace_or_404(self.project, trace_id)
        return Response(wire.step_as_sent(queries.step_or_404(trace, span_id)))


class TraceExport(ProjectView):
    @extend_schema(responses={(200, "application/jsonl"): OpenApiTypes.STR})
    def get(self, request: Request, trace_id: str) -> HttpResponseBase:
        """Stream a trace as JSONL that `import` reads back to the same trace."""
        trace = queries.trace_or_404(self.project, trace_id)
        try:
            lines = Rationed(export(trace))
        except AllTakenError:
            detail = "Too many exports are on their way; try again in a moment."
            return problem(503, detail=detail, headers={"Retry-After": "5"})
        return StreamingHttpResponse(
            lines,
            content_type="application/jsonl",
            headers={"Content-Disposition": f'attachment; filename="trace-{trace.id_hex}.jsonl"'},
        )


class SessionList(ProjectView):
    @extend_schema(parameters=PAGING, responses=SessionOut(many=True))
    def get(self, request: Request) -> Response:
        """List sessions, newest first. Two queries."""
        self.query(ListQuery)
        page = self.page(queries.sessions(self.project))
        sums = queries.session_sums([session.pk for session in page.results])
        context = {**CONTEXT, "sums": sums}
        results = [SessionOut(session, context=context).data for session in page]
        return Response({"results": results, "next": page.next})


class SessionDetail(ProjectView):
    @extend_schema(responses=SessionOut)
    def get(self, request: Request, session_id: str) -> Response:
        """Return one session by the sender's id. Two queries."""
        session = get_scoped_or_404(Session, self.project, session_id=session_id)
        context = {**CONTEXT, "sums": queries.session_sums([session.pk])}
        return Response(SessionOut(session, context=context).data)


class BatchDetail(ProjectView):
    @extend_schema(responses=BatchOut)
    def get(self, request: Request, batch_id: str) -> Response:
        """Return what became of one ingest batch. One query."""
        try:
            key = UUID(batch_id)
        except ValueError:
            raise Http404 from None
        return Response(BatchOut(get_scoped_or_404(IngestBatch, self.project, pk=key)).data)
