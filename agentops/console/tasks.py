"""What the clock does for the rooms below the jobs: heads of the trail are exported, old sessions forgotten."""

from agentops.accounts.housekeeping import forget_expired
from agentops.audit.heads import export_heads
from agentops.jobs.registry import every


@every(seconds=60)
def export_audit_heads() -> None:
    export_heads()


@every(seconds=3600)
def forget_what_expired() -> None:
    forget_expired()
