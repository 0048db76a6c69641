"""The job of this room: look at the new steps of a trace."""

from datetime import timedelta

from agentops.jobs.registry import handles
from traces.detectors.fold import detect_trace
from traces.models import DetectJob


@handles("detect", atomic=True)
def detect(job: DetectJob) -> timedelta | None:
    return detect_trace(job.trace)
