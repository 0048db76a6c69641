"""What the probe jobs do: write a row that says they ran, or misbehave as they are told."""

import os
import time
from datetime import timedelta

from agentops.jobs.registry import handles
from tests.probe.models import ProbeJob, ProbeRun, SlowProbeJob


def count_run(job: ProbeJob | SlowProbeJob) -> None:
    ProbeRun.objects.create(name=job.name, revision=job.revision, pid=os.getpid(), asked_at=job.created_at)


@handles("probe", atomic=True)
def probe(job: ProbeJob) -> timedelta | None:
    count_run(job)
    verb, _, amount = job.behaviour.partition(":")
    if verb == "raise":
        raise RuntimeError(f"{job.name} was told to raise")
    if verb == "die":
        os._exit(9)
    if verb == "sleep":
        time.sleep(float(amount))
    return timedelta(seconds=float(amount)) if verb == "again" else None


@handles("slow_probe", atomic=False)
def slow_probe(job: SlowProbeJob) -> None:
    count_run(job)
