"""Letting open pages and waiting agents know that an approval changed; and the one clock that deadlines know."""

from datetime import datetime

from django.db import connection

from agentops.web.news import tell_pages
from approvals.models import Approval


def announce(approval: Approval) -> None:
    """Send a notice with the approval's id, delivered by Postgres when the transaction commits."""
    tell_pages(approval.project_id, "approvals", approval=approval.pk.hex)


def database_now() -> datetime:
    """Return the time of the database, the only clock that deadlines know."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        now: datetime = cursor.fetchone()[0]
        return now
