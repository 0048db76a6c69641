"""What runs in this room: the outbox of each channel, and what the clock does."""

from datetime import timedelta

from agentops.jobs.registry import every, handles
from agentops.notify.deliver import drain
from agentops.notify.fallback import fall_back
from agentops.notify.models import DeliverJob
from agentops.notify.recording import tell_of_failing_channels
from agentops.notify.retention import remove_old


@handles(DeliverJob.kind, atomic=False)
def deliver(job: DeliverJob) -> timedelta | None:
    return drain(job.channel_id)


@every(seconds=5)
def tell_of_failing() -> None:
    tell_of_failing_channels()


@every(seconds=5)
def tell_the_fallback() -> None:
    fall_back()


@every(seconds=3600)
def keep_retention() -> None:
    remove_old()
