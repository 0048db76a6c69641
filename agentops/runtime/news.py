"""Letting open pages know that a run changed."""

from agentops.runtime.models import Run
from agentops.web.news import tell_pages


def announce(run: Run) -> None:
    """Send a notice with the run's id, delivered by Postgres when the transaction commits; equal ones only once."""
    tell_pages(run.project_id, "runs", run=run.pk.hex)
