"""A worker beside the tests: advances one run of the scripted desk until it has ended, wherever it was cut off before.

Run as a module with the run's id and the file of the other side; AGENTOPS_FAILPOINTS says where it is cut off itself.
"""

import sys
import time
from pathlib import Path

import django

MOST_S = 60.0


def work(run_id: str, outside: Path) -> None:
    from agentops.jobs import registry
    from agentops.jobs.registry import Handler
    from agentops.jobs.runner import run_by_id
    from agentops.runtime import engine
    from agentops.runtime.models import Run, RunJob
    from agentops.runtime.states import ENDED, RunStatus
    from tests.runtime.desk import desk

    parts = desk(outside)
    registry.handlers["run"] = Handler(lambda job: engine.advance(job, parts), atomic=False)
    end = time.monotonic() + MOST_S
    while time.monotonic() < end:
        if Run.objects.get(pk=run_id).status in (*ENDED, RunStatus.NEEDS_PERSON):
            return
        for job_id in RunJob.objects.due().filter(run=run_id).values_list("pk", flat=True):
            run_by_id("run", job_id)
        time.sleep(0.05)


if __name__ == "__main__":
    django.setup()
    work(sys.argv[1], Path(sys.argv[2]))
