"""Letting open pages know that a run changed."""

import json

from django.db import connection

from agentops.runtime.models import Run


def announce(run: Run) -> None:
    """Send a notice with the run's id, delivered by Postgres when the transaction commits; equal ones only once."""
    notice = {"project": run.project_id.hex, "event": "runs", "run": run.pk.hex}
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify('agentops', %s)", [json.dumps(notice)])
