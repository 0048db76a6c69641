"""Whether this process lives and is ready; the only addresses beside sign-in that answer strangers."""

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from agentops.accounts.access import key_door, public
from agentops.jobs import queries
from agentops.web.problems import problem
from traces.alerts.drills import last_told_s, missed_now
from traces.search.find import lag_s

_migrated = False


@public
@require_safe
def livez(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "alive"})


@public
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 when Postgres answers and every migration is applied, else 503."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        if not _is_migrated():
            return problem(503, detail="The database is not migrated yet.", headers={"Retry-After": "1"})
    except DatabaseError:
        return problem(503, detail="The database does not answer.", headers={"Retry-After": "1"})
    return JsonResponse({"status": "ready"})


@key_door("read")
@require_safe
def deep(request: HttpRequest) -> JsonResponse:
    """Answer how the work goes on: 200, or 503 when no worker or no sweeper was seen, or a drill was missed last.

    One query for each figure, and one for the drills.
    """
    figures = {
        "oldest_due_job_s": queries.oldest_due_job_s(),
        "search_lag_s": lag_s(),
        "last_drill_s": last_told_s(),
        "workers": queries.worker_count(),
        "sweeper": queries.is_sweeper_there(),
    }
    is_well = figures["workers"] and figures["sweeper"] and not missed_now()
    return JsonResponse(figures, status=200 if is_well else 503)


def _is_migrated() -> bool:
    """Look at the migrations until none is missing; they do not go away again."""
    global _migrated  # noqa: PLW0603 - one fact of the whole process
    if not _migrated:
        executor = MigrationExecutor(connection)
        _migrated = not executor.migration_plan(executor.loader.graph.leaf_nodes())
    return _migrated
