"""`demo`: fill a project with healthy and failing runs that say they are demo data."""

from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from tqdm import tqdm

from agentops.accounts.models import Project
from agentops.accounts.services import oldest_admin
from agentops.console.demo_runs import ASKING, FAILING, HEALTHY, demo
from agentops.runtime.models import Run
from agentops.runtime.services import start_run
from agentops.runtime.states import ENDED
from traces.ingest.native import read_items
from traces.ingest.record import Origin
from traces.ingest.store import store


class Command(BaseCommand):
    help = "Fill a project with healthy and failing runs, live, and let the built-in agent ask for two refunds."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", default="default", help="slug of the project (default: %(default)s)")

    def handle(self, *, project: str, **_: Any) -> None:
        target = Project.objects.filter(slug=project).first()
        if target is None:
            raise CommandError(f"There is no project {project}.")
        now = timezone.now()
        total = len(HEALTHY) + len(FAILING)
        for steps in tqdm(demo(now), total=total, unit="run", disable=None):  # None: only on a terminal
            batch = read_items([msgspec.json.encode(step) for step in steps], now=now)
            store(target, batch, Origin(source="demo", key_name="demo"))
        asking = start_asking(target) if target.is_sandbox else 0
        self.stdout.write(f"{len(HEALTHY)} healthy runs, {len(FAILING)} failing ones, {asking} that ask for approval")


def start_asking(project: Project) -> int:
    """Let each of the runs that wait for a person be there once, and return how many there are.

    One that is still under way is not started again: nobody has more to decide after a second `demo`.
    """
    for name, asked in ASKING.items():
        earlier = Run.objects.of(project).filter(key__startswith=f"demo-{name}-")
        if not earlier.exclude(status__in=ENDED).exists():
            key, by = f"demo-{name}-{earlier.count()}", oldest_admin(project)
            start_run(project, agent="support-desk", input=asked, scenario="refund", by=by, key=key)
    return len(ASKING)
