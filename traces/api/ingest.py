"""The native ingest door: `POST /api/v1/traces`."""

import msgspec
import structlog
from django.db import InterfaceError, OperationalError
from django.http import HttpResponse
from django.utils import timezone

from agentops.accounts.request import ProjectRequest
from agentops.web.problems import problem, unavailable
from traces.ingest.body import BodyRefusedError, read_request, reading, turn
from traces.ingest.native import BodyError, read_body
from traces.ingest.newcomers import TooManyNewError
from traces.ingest.record import NATIVE, Origin
from traces.ingest.store import Receipt, store

log = structlog.get_logger(__name__)

NDJSON = {"application/x-ndjson", "application/ndjson", "application/jsonl"}
JSON = {"", "application/json", "text/json"}


def post_traces(request: ProjectRequest) -> HttpResponse:
    """Store steps; the answer 200 says: committed."""
    content_type = (request.content_type or "").lower()
    if content_type not in JSON | NDJSON:
        return problem(415, detail=f"Send application/json or application/x-ndjson, not {content_type[:80]}.")
    try:
        with turn(request):
            return _accept(request, ndjson=content_type in NDJSON)
    except TooManyNewError as error:
        return unavailable(str(error))
    except (OperationalError, InterfaceError) as error:
        log.warning("ingest_unavailable", error=str(error))
        return unavailable("The database does not answer; nothing was stored; send this again.")


def _accept(request: ProjectRequest, *, ndjson: bool) -> HttpResponse:
    try:
        with reading(request):
            batch = read_body(read_request(request), now=timezone.now(), ndjson=ndjson)
    except BodyRefusedError as error:
        return problem(error.status, detail=error.detail)
    except BodyError as error:
        return problem(error.status, detail=str(error))
    key_name = request.api_key.name if request.api_key else ""
    receipt = store(request.project, batch, Origin(source=NATIVE, key_name=key_name, agent=key_name))
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
