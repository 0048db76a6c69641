"""Letting open pages know that a run was stopped."""

import json

from django.db import connection

from traces.models import Trace


def announce(trace: Trace) -> None:
    """Send the notice that new steps bring too, delivered by Postgres when the transaction commits."""
    notice = {
        "project": trace.project_id.hex,
        "event": "stored",
        "traces": [trace.id_hex],
        "sessions": [],
        "steps": 0,
    }
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify('agentops', %s)", [json.dumps(notice)])
