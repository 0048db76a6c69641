"""Letting open pages know that a run was stopped."""

from agentops.web.news import tell_pages
from traces.models import Trace


def announce(trace: Trace) -> None:
    """Send the notice that new steps bring too, delivered by Postgres when the transaction commits."""
    tell_pages(trace.project_id, "stored", traces=[trace.id_hex], sessions=[], steps=0)
