"""Letting open pages and waiting agents know that an approval changed; and the one clock that deadlines know."""

import json
from datetime import datetime

from django.db import connection

from approvals.models import Approval


def announce(approval: Approval) -> None:
    """Send a notice with the approval's id, delivered by Postgres when the transaction commits."""
    notice = {"project": approval.project_id.hex, "event": "approvals", "approval": approval.pk.hex}
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify('agentops', %s)", [json.dumps(notice)])


def database_now() -> datetime:
    """Return the time of the database, the only clock that deadlines know."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        now: datetime = cursor.fetchone()[0]
        return now
