"""`demo`: fill a project with healthy and failing runs that say they are demo data."""

from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from tqdm import tqdm

from agentops.accounts.models import Project
from agentops.console.demo_runs import HEALTHY, LOOPING, demo
from traces.ingest.native import read_items
from traces.ingest.record import Origin
from traces.ingest.store import store


class Command(BaseCommand):
    help = "Fill a project with healthy and looping runs, live: what is found in them opens alerts."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", default="default", help="slug of the project (default: %(default)s)")

    def handle(self, *, project: str, **_: Any) -> None:
        target = Project.objects.filter(slug=project).first()
        if target is None:
            raise CommandError(f"There is no project {project}.")
        now = timezone.now()
        total = len(HEALTHY) + len(LOOPING)
        for steps in tqdm(demo(now), total=total, unit="run", disable=None):  # None: only on a terminal
            batch = read_items([msgspec.json.encode(step) for step in steps], now=now)
            store(target, batch, Origin(source="demo", key_name="demo"))
        self.stdout.write(f"{len(HEALTHY)} healthy runs, {len(LOOPING)} looping ones")
