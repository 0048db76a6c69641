"""Fold: what a detection job costs for 500 new steps, while one trace grows to 50,000."""

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from bench.batches import prose, step
from bench.figures import Figure, median
from tests.instance import CHECKOUT, clean_environment

STEPS, BATCH = 50_000, 500
TENTH = STEPS // BATCH // 10


def run() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="agentops-fold-") as home:
        # A command starts Postgres and the broker and no worker, which would take the jobs away.
        command = [sys.executable, str(CHECKOUT / "manage.py"), "shell", "-c", "from bench.fold import grow; grow()"]
        done = subprocess.run(
            [*command, "--data-dir", home], env=clean_environment(), capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    jobs = json.loads(done.stdout.splitlines()[-1])
    for what, place in (("job", 0), ("of it CPU of Python", 1)):
        first, last = (median(job[place] for job in part) * 1_000 for part in (jobs[:TENTH], jobs[-TENTH:]))
        yield Figure(f"{what}, the first {TENTH * BATCH:,} steps", first, "ms/500 steps")
        yield Figure(f"{what}, the last {TENTH * BATCH:,} steps", last, "ms/500 steps", first)


def grow() -> None:
    """Store the steps of one trace in batches, run the job of each, and print what each took: seconds, CPU seconds."""
    from agentops.accounts.models import Project
    from agentops.jobs.runner import run_by_id
    from tests.traces.builders import send
    from traces.models import DetectJob

    rng, project, took = random.Random(1), Project.objects.get(), []
    words = [prose(rng, ["a", "be", "code", "figure"], 12) for _ in range(500)]
    began = datetime.now(UTC) - timedelta(seconds=STEPS)
    for first in range(1, STEPS, BATCH):
        send(project, *[step(rng, words, 0, number, began) for number in range(first, first + BATCH)])
        (job,) = DetectJob.objects.all()
        before = time.monotonic(), time.process_time()
        assert run_by_id(job.kind, job.pk)
        took.append((time.monotonic() - before[0], time.process_time() - before[1]))
    print(json.dumps(took))
