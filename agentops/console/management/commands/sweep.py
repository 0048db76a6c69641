"""`manage.py sweep`: the sweeper process, until SIGTERM or Ctrl-C."""

import signal
from typing import Any

from django.core.management.base import BaseCommand

from agentops.jobs.sweeper import Sweeper


class Command(BaseCommand):
    help = "Keep the clock, and run the jobs that no worker came to."

    def handle(self, **options: Any) -> None:
        sweeper = Sweeper()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: sweeper.stop())
        sweeper.run()
