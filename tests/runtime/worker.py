"""A worker beside the tests: advances one run of the scripted desk until it has ended, wherever it was cut off before.

Each is forked from a process that has all of the product loaded, since loading it takes longer than a run.
"""

import importlib
import os
import signal
import time
from multiprocessing import get_context
from pathlib import Path

import django
from django.apps import apps
from django.db import connection

from agentops.celery import app

MOST_S = 60.0
NO_BROKER = "redis://127.0.0.1:1/0"
LOADED_BEFORE = ("agentops.runtime.engine", "agentops.jobs.runner", "tests.runtime.desk")
FORKS = get_context("forkserver")
FORKS.set_forkserver_preload(["tests.runtime.worker"])

if not apps.ready:  # only in the process that the workers are forked from
    django.setup()
    for module in LOADED_BEFORE:
        importlib.import_module(module)


class Worker:
    """One such process.

    Args:
        run_id: the run that it advances.
        outside: the file of the other side.
        failpoints: where it is cut off, as AGENTOPS_FAILPOINTS says it.
        has_broker: whether it reaches the broker.
    """

    def __init__(self, run_id: str, outside: Path, failpoints: str, *, has_broker: bool) -> None:
        database = str(connection.settings_dict["NAME"])
        broker = str(app.conf.broker_url) if has_broker else NO_BROKER
        self.process = FORKS.Process(target=work, args=(run_id, outside, failpoints, database, broker))
        self.process.start()

    @property
    def returncode(self) -> int | None:
        """None while it lives; the number of the signal, negative, if one ended it."""
        return self.process.exitcode

    def state(self) -> str:
        """The letter the system has for it: "T" is stopped."""
        return Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(") ")[2][0]

    def wake(self) -> None:
        assert self.process.pid
        os.kill(self.process.pid, signal.SIGCONT)

    def end(self) -> None:
        self.process.kill()
        self.process.join()


def work(run_id: str, outside: Path, failpoints: str, database: str, broker: str) -> None:
    from agentops.jobs import registry
    from agentops.jobs.registry import Handler
    from agentops.jobs.runner import run_by_id
    from agentops.runtime import engine
    from agentops.runtime.failpoints import arm
    from agentops.runtime.models import Run, RunJob
    from agentops.runtime.states import ENDED, RunStatus
    from tests.runtime.desk import desk

    arm(failpoints)
    connection.settings_dict["NAME"] = database
    app.conf.broker_url = broker
    parts = desk(outside)
    registry.handlers["run"] = Handler(lambda job: engine.advance(job, parts), atomic=False)
    end = time.monotonic() + MOST_S
    while time.monotonic() < end:
        if Run.objects.get(pk=run_id).status in (*ENDED, RunStatus.NEEDS_PERSON):
            return
        for job_id in RunJob.objects.due().filter(run=run_id).values_list("pk", flat=True):
            run_by_id("run", job_id)
        time.sleep(0.05)
