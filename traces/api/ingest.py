"""The native ingest door: `POST /api/v1/traces`."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import structlog
from django.db import InterfaceError, OperationalError
from django.http import HttpResponse
from django.utils import timezone

from agentops.accounts.request import ProjectRequest
from agentops.web.problems import problem
from traces.ingest.body import BodyRefusedError, read_request
from traces.ingest.native import BodyError, read_body
from traces.ingest.record import Origin
from traces.ingest.store import Receipt, store

log = structlog.get_logger(__name__)

IN_FLIGHT = 12  # batches a process works on at once; four of its sixteen threads are left for pages
RETRY_AFTER_S = "2"
NDJSON = {"application/x-ndjson", "application/ndjson", "application/jsonl"}
JSON = {"", "application/json", "text/json"}

_places = threading.BoundedSemaphore(IN_FLIGHT)


class OverloadedError(Exception):
    """Raised when as many batches are in flight as one process takes."""


@contextmanager
def in_flight() -> Iterator[None]:
    """Hold one of the places for a batch. Raises OverloadedError at once when there is none."""
    if not _places.acquire(blocking=False):
        raise OverloadedError
    try:
        yield
    finally:
        _places.release()


def post_traces(request: ProjectRequest) -> HttpResponse:
    """Store steps; the answer 200 says: committed."""
    content_type = (request.content_type or "").lower()
    if content_type not in JSON | NDJSON:
        return problem(415, detail=f"Send application/json or application/x-ndjson, not {content_type[:80]}.")
    try:
        with in_flight():
            return _accept(request, ndjson=content_type in NDJSON)
    except OverloadedError:
        return _later("Too many batches are in flight; send this one again.")
    except (OperationalError, InterfaceError) as error:
        log.warning("ingest_unavailable", error=str(error))
        return _later("The database does not answer; nothing was stored; send this again.")


def _accept(request: ProjectRequest, *, ndjson: bool) -> HttpResponse:
    try:
        batch = read_body(read_request(request), now=timezone.now(), ndjson=ndjson)
    except BodyRefusedError as error:
        return problem(error.status, detail=error.detail)
    except BodyError as error:
        return problem(error.status, detail=str(error))
    key_name = request.api_key.name if request.api_key else ""
    receipt = store(request.project, batch, Origin(source="native", key_name=key_name, agent=key_name))
    return HttpResponse(msgspec.json.encode(as_json(receipt)), content_type="application/json")


def as_json(receipt: Receipt) -> dict[str, object]:
    """Return a receipt as the contract words it."""
    return {
        "batch_id": receipt.batch_id.hex,
        "accepted": receipt.accepted,
        "duplicates": receipt.duplicates,
        "repaired": receipt.repaired,
        "rejected": receipt.rejected,
        "traces": [trace.hex for trace in receipt.traces],
    }


def _later(detail: str) -> HttpResponse:
    return problem(503, detail=detail, headers={"Retry-After": RETRY_AFTER_S})
