"""Letting open pages know that something changed: one notice in Postgres, which every web process hears."""

import json
from uuid import UUID

from django.db import connection

CHANNEL = "agentops"


def tell_pages(project_id: UUID, event: str, **about: object) -> None:
    """Send a notice, which Postgres delivers when the transaction commits; equal ones of it only once. One statement.

    `event` is what pages wait for by name; a notice has at most 8,000 bytes, so `about` holds ids and counts.
    """
    notice = {"project": project_id.hex, "event": event, **about}
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, json.dumps(notice)])
