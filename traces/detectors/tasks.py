"""The job of this room: look at the new steps of a trace."""

from agentops.jobs.registry import handles
from traces.detectors.fold import detect_trace
from traces.models import DetectJob


@handles("detect", atomic=True)
def detect(job: DetectJob) -> None:
    detect_trace(job.trace)
