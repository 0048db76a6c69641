"""The read API of this room: sessions, traces, steps, export, ingest batches."""

from typing import Any, ClassVar
from uuid import UUID

from django.conf import settings
from django.http import Http404, StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from agentops.accounts.request import ProjectRequest
from agentops.accounts.scoped import get_scoped_or_404
from agentops.web.keyset import CursorError, KeysetPage, decode_cursor, encode_cursor, keyset_page
from agentops.web.problems import problem
from traces import queries, wire
from traces.alerts import queries as alert_queries
from traces.api.ingest import post_traces
from traces.api.rationed import AllTakenError, Rationed
from traces.api.serializers import BatchOut, ReceiptOut, SessionOut, StepOut, StepsIn, TraceOut, TraceQuery
from traces.export import export
from traces.models import IngestBatch, Session, Trace

LIMIT, MAX_LIMIT = 50, 200
PAGING = [
    OpenApiParameter("limit", int, description="rows a page, up to 200"),
    OpenApiParameter("after", str, description="the `next` of the page before"),
]


class ListQuery(serializers.Serializer[Any]):
    limit = serializers.IntegerField(min_value=1, max_value=MAX_LIMIT, default=LIMIT)
    after = serializers.CharField(default="")


class ProjectView(APIView):
    """A view that reads within the project of the key, or of the signed-in person."""

    scope: ClassVar[str] = "read"

    @property
    def project(self) -> Any:
        return self.asked.project

    @property
    def asked(self) -> ProjectRequest:
        asked: ProjectRequest = self.request._request  # type: ignore[assignment]
        return asked

    def query(self, kind: type[serializers.Serializer[Any]]) -> dict[str, Any]:
        """Return the checked query parameters. Raises ValidationError, also for a parameter that is not known."""
        given = self.request.query_params
        known = {*kind().fields, *ListQuery().fields}
        if unknown := sorted(set(given) - known):
            names = ", ".join(sorted(known))
            raise serializers.ValidationError(
                {name[:80]: f"is no parameter here; known are {names}" for name in unknown}
            )
        checked = kind(data=given)
        checked.is_valid(raise_exception=True)
        return dict(checked.validated_data)

    def page(self, rows: Any, **by: Any) -> KeysetPage[Any]:
        paging = self.query_page()
        try:
            return keyset_page(rows, after=paging["after"], limit=paging["limit"], **by)
        except CursorError as error:
            raise serializers.ValidationError({"after": str(error)}) from None

    def query_page(self) -> dict[str, Any]:
        checked = ListQuery(data=self.request.query_params)
        checked.is_valid(raise_exception=True)
        return dict(checked.validated_data)


CONTEXT = {"base_url": settings.ENV.agentops_public_url.rstrip("/")}


class TraceList(ProjectView):
    scopes: ClassVar[dict[str, str]] = {"POST": "ingest"}

    @extend_schema(
        request={"application/json": StepsIn, "application/x-ndjson": OpenApiTypes.STR}, responses=ReceiptOut
    )
    def post(self, request: Request) -> HttpResponseBase:
        """Store steps: one, a list, `{"steps": […]}` or one a line. The answer 200 says: committed."""
        return post_traces(self.asked)

    @extend_schema(parameters=[TraceQuery, *PAGING], responses=TraceOut(many=True))
    def get(self, request: Request) -> Response:
        """List traces, newest first by receipt. Two queries."""
        filters = queries.TraceFilters(**self.query(TraceQuery))
        page = self.page(alert_queries.with_pattern(queries.traces(self.project, filters), filters.pattern))
        return Response({"results": _traces(page.results), "next": page.next})


class TraceDetail(ProjectView):
    @extend_schema(responses=TraceOut)
    def get(self, request: Request, trace_id: str) -> Response:
        """Return one trace by its id or the sender's own string. Two queries."""
        (trace,) = _traces([queries.trace_or_404(self.project, trace_id)])
        return Response(trace)


def _traces(rows: list[Trace]) -> list[dict[str, Any]]:
    """Return traces as the API shows them, with what was found in them. One query."""
    context = {**CONTEXT, "found": alert_queries.found_on(rows)}
    return list(TraceOut(rows, many=True, context=context).data)


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
