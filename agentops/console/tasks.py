"""What the clock does for the whole house: heads of the trail, old sessions, drills, and the sign of life outside."""

from agentops.accounts.housekeeping import forget_expired
from agentops.audit.heads import export_heads
from agentops.console import scheduled_drills, watch
from agentops.jobs.registry import every


@every(seconds=60)
def export_audit_heads() -> None:
    export_heads()


@every(seconds=3600)
def forget_what_expired() -> None:
    forget_expired()


@every(seconds=5)
def drill_next() -> None:
    scheduled_drills.run_next()


@every(seconds=600)
def gather_old_drill_agents() -> None:
    scheduled_drills.gather_old_agents()


@every(seconds=60)
def ping_outside() -> None:
    watch.ping_outside()
