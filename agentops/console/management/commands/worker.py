"""`manage.py worker`: the Celery worker process, until SIGTERM or Ctrl-C."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from agentops.jobs.worker import run_worker


class Command(BaseCommand):
    help = "Run jobs as messages name them, in a pool of processes."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--concurrency", type=int, default=2, help="how many processes (default: 2)")

    def handle(self, *, concurrency: int, **options: Any) -> None:
        sys.exit(run_worker(concurrency))
