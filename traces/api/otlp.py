"""The OTLP door: `POST /v1/traces`, `/v1/logs`, `/v1/metrics`, and the address that Langfuse's client has."""

from collections.abc import Callable
from functools import wraps

import structlog
from django.db import InterfaceError, OperationalError
from django.http import HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_POST

from agentops.accounts.access import key_door
from agentops.accounts.policy import View
from agentops.accounts.request import ProjectRequest
from traces.api.otlp_answer import is_json, is_protobuf, refuse, success
from traces.api.otlp_warning import warning
from traces.ingest.body import BodyRefusedError, read_request, turn
from traces.ingest.otlp import read_traces
from traces.ingest.otlp_span import UnreadableError
from traces.ingest.record import Batch, Origin
from traces.ingest.store import store

log = structlog.get_logger(__name__)

REASONS_SAID = 5  # of rejected spans, in the message of a partial success
Door = Callable[[ProjectRequest], HttpResponse]


def door(view: Door) -> View:
    """Make a view a door of OTLP: a key with the scope `ingest`, errors in its words."""

    @wraps(view)
    def opened(request: ProjectRequest) -> HttpResponse:
        if not is_json(request) and not is_protobuf(request):
            kind = (request.content_type or "nothing")[:80]
            return refuse(request, 415, f"Send application/x-protobuf or application/json, not {kind}.")
        try:
            with turn(request):
                return view(request)
        except (BodyRefusedError, UnreadableError) as error:
            return refuse(request, error.status, error.detail)
        except (OperationalError, InterfaceError) as error:
            log.warning("ingest_unavailable", error=str(error))
            return refuse(request, 503, "The database does not answer; nothing was stored; send this again.")

    return key_door("ingest", refuse=refuse)(require_POST(opened))


@door
def post_traces(request: ProjectRequest) -> HttpResponse:
    """Store spans; the answer 200 says: committed."""
    batch = read_traces(read_request(request), is_json=is_json(request), now=timezone.now())
    return _stored(request, batch, "spans")


@door
def post_logs(request: ProjectRequest) -> HttpResponse:
    """Refuse log records: a success would say that they are kept."""
    return refuse(request, 501, "Log records are not kept yet. Send spans alone: OTEL_LOGS_EXPORTER=none.")


@door
def post_metrics(request: ProjectRequest) -> HttpResponse:
    """Take metrics, which are not kept: what they say is in the spans."""
    log.info("otlp_metrics_ignored", bytes=len(read_request(request)), project=request.project.slug)
    return success(request, "data_points")


def _stored(request: ProjectRequest, batch: Batch, what: str) -> HttpResponse:
    if batch.received:  # an empty request is a success, and nothing to enter in the ledger
        key_name = request.api_key.name if request.api_key else ""
        store(request.project, batch, Origin(source="otlp", key_name=key_name, agent=key_name))
    message = _reasons(batch) or warning(request.project, batch)
    return success(request, what, rejected=len(batch.rejected), message=message)


def _reasons(batch: Batch) -> str:
    """Return why spans were rejected, the first few by their place in the request."""
    said = [
        f"span {one.index}: {problem.pointer} {problem.detail}"
        for one in batch.rejected[:REASONS_SAID]
        for problem in one.errors
    ]
    more = len(batch.rejected) - REASONS_SAID
    return "; ".join([*said, f"and {more} more"] if more > 0 else said)
