"""What the clock does for this room."""

from agentops.jobs.registry import every
from traces.closing import close_quiet_traces
from traces.partitions import analyze_new, ensure_partitions
from traces.retention import remove_old

HOUR_S = 3600


@every(seconds=1)
def close_quiet() -> None:
    close_quiet_traces()


@every(seconds=HOUR_S)
def make_partitions() -> None:
    ensure_partitions()


@every(seconds=5)
def analyze_partitions() -> None:
    analyze_new()


@every(seconds=HOUR_S)
def keep_retention() -> None:
    remove_old()
