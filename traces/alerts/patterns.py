"""The names of what alerts are about: the six failures of agents, budgets, and the system's own troubles."""

FAILURES = (
    "tool_loop", "context_drift", "bad_signature", "missing_rollback", "observability_gap", "over_automation",
)  # fmt: skip
SYSTEM = ("job_quarantined", "channel_failing", "compensation_failed", "component_silent", "audit_broken")
ALL = (*FAILURES, "budget", *SYSTEM)
