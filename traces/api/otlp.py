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
from traces.ingest.body import BodyRefusedError, read_request, reading, turn
from traces.ingest.newcomers import TooManyNewError
from traces.ingest.otlp import read
from traces.ingest.otlp_span import LOGS, METRICS, TRACES, UnreadableError
from traces.ingest.record import Batch, Origin
from traces.ingest.store import store

log = structlog.get_logger(__name__)

REASONS_SAID = 5  # of rejected items, in the message of a partial success
ITEMS = {TRACES: "span", LOGS: "log record"}
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
        except TooManyNewError as error:
            return refuse(request, 503, str(error))
        except (OperationalError, InterfaceError) as error:
            log.warning("ingest_unavailable", error=str(error))
            return refuse(request, 503, "The database does not answer; nothing was stored; send this again.")

    return key_door("ingest", refuse=refuse)(require_POST(opened))


@door
def post_traces(request: ProjectRequest) -> HttpResponse:
    """Store spans; the answer 200 says: committed."""
    return _store(request, TRACES, "otlp")


@door
def post_logs(request: ProjectRequest) -> HttpResponse:
    """Store log records as steps, or with the spans they were made in; the answer 200 says: committed."""
    return _store(request, LOGS, "otlp_logs")


@door
def post_metrics(request: ProjectRequest) -> HttpResponse:
    """Count data points in the ledger. They are not kept: what they say is in the spans and the log records."""
    return _store(request, METRICS, "otlp_metrics")


def _store(request: ProjectRequest, signal: str, source: str) -> HttpResponse:
    with reading(request):
        batch = read(signal, read_request(request), is_json=is_json(request), now=timezone.now())
    if batch.received:  # an empty request is a success, and nothing to enter in the ledger
        key_name = request.api_key.name if request.api_key else ""
        store(request.project, batch, Origin(source=source, key_name=key_name, agent=key_name))
    message = _reasons(batch, signal) or warning(request.project, batch, signal)
    return success(request, signal, rejected=len(batch.rejected), message=message)


def _reasons(batch: Batch, signal: str) -> str:
    """Return why items were rejected, the first few by their place in the request."""
    said = [
        f"{ITEMS[signal]} {one.index}: {problem.pointer} {problem.detail}"
        for one in batch.rejected[:REASONS_SAID]
        for problem in one.errors
    ]
    more = len(batch.rejected) - REASONS_SAID
    return "; ".join([*said, f"and {more} more"] if more > 0 else said)
