"""Drills by the clock: the installation proves to itself, all the time, that each pattern is recognised and told.

They go through the writer that all doors share, into a project of their own, and not through the web process: whether
that answers is seen from outside. One pattern a call, so that the clock is never held up.
"""

from datetime import timedelta
from uuid import uuid4

import msgspec
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils import timezone

from agentops.accounts.models import DRILLS_SLUG, Project
from agentops.accounts.services import create_project, oldest_admin
from agentops.console.drill_runs import AGENTS, RUNS, native
from traces.drills.models import Drill
from traces.drills.services import drillable, register
from traces.ingest.native import read_items
from traces.ingest.record import Origin
from traces.ingest.store import store
from traces.models import Trace

NAMED = timedelta(hours=6)  # about 250 names at a drill of each pattern every ten minutes
PAST_AGENT = "past drills"
SLACK = timedelta(seconds=5)  # a tick that comes a moment early still counts


def run_next() -> str:
    """Inject the next pattern that is due, and return it; nothing when none is, or drills are off."""
    every_s = settings.DRILL_EVERY_S
    if not every_s or not Project.objects.exists():
        return ""
    since = Now() - (timedelta(seconds=every_s) - SLACK)
    recent = set(
        Drill.objects.filter(is_scheduled=True, registered_at__gt=since).values_list("pattern", flat=True).distinct()
    )
    recognised = set(drillable())
    due = next((pattern for pattern in RUNS if pattern in recognised and pattern not in recent), "")
    if due:
        _inject(drill_project(), due)
    return due


def drill_project() -> Project:
    """Return the project of scheduled drills, made on first use; the installation's first admin is its only member."""
    project = Project.objects.filter(slug=DRILLS_SLUG).first()
    if project is not None:
        return project
    try:
        with transaction.atomic():
            return create_project(slug=DRILLS_SLUG, name="Scheduled drills", by=oldest_admin(), environment="drill")
    except IntegrityError:
        return Project.objects.get(slug=DRILLS_SLUG)


def gather_old_agents() -> None:
    """Put the runs of past drills under one name: a name for each would take all places that a project has."""
    old = Trace.objects.filter(project__slug=DRILLS_SLUG, received_at__lt=Now() - NAMED)
    old.filter(agent__startswith=AGENTS).update(agent=PAST_AGENT)


def _inject(project: Project, pattern: str) -> None:
    trace_id, now = uuid4().hex, timezone.now()
    register(project, pattern=pattern, trace_id=trace_id, onset_at=now, is_scheduled=True)
    batch = read_items([msgspec.json.encode(step) for step in native(pattern, trace_id=trace_id, now=now)], now=now)
    store(project, batch, Origin(source="drill", key_name="drill"))
