"""Where runs, tool calls and compensations stand, and the ways between; the database refuses every other way."""

from enum import StrEnum


class RunStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    WAITING_APPROVAL = "waiting_approval"
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # and nothing had to be undone
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"  # it failed, and every effect that can be undone was
    NEEDS_PERSON = "needs_person"
    CANCELLED = "cancelled"


class CallStatus(StrEnum):
    PROPOSED = "proposed"  # to be asked for again: what was approved is stale
    INVALID = "invalid"  # no such tool, or arguments against its schema
    DENIED = "denied"  # by the breaker, the guard or a policy
    WAITING_APPROVAL = "waiting_approval"
    REJECTED = "rejected"  # rejected, answered, expired or withdrawn
    READY = "ready"
    EXECUTING = "executing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"  # nobody can say whether it took effect
    CANCELLED = "cancelled"  # the run ended first


class UndoStatus(StrEnum):
    REGISTERED = "registered"
    NOT_NEEDED = "not_needed"
    RUNNING = "running"
    RETRY = "retry"
    DONE = "done"
    DEAD = "dead"  # it could not be undone: a person has to


ENDED = frozenset({RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.ROLLED_BACK, RunStatus.CANCELLED})
UNSETTLED = frozenset({CallStatus.PROPOSED, CallStatus.WAITING_APPROVAL, CallStatus.READY, CallStatus.EXECUTING})
NOT_STARTED = UNSETTLED - {CallStatus.EXECUTING}
UNDONE = frozenset({UndoStatus.NOT_NEEDED, UndoStatus.DONE})

RUN_WAYS = {
    "queued": ("running", "failed", "cancelled", "needs_person"),
    "running": (
        "waiting_approval", "succeeded", "failed", "rolling_back", "needs_person", "cancelled",
    ),
    "waiting_approval": ("running", "failed", "rolling_back", "needs_person", "cancelled"),
    "rolling_back": ("rolled_back", "needs_person", "cancelled"),
    # A late result settles what was unknown, or a person lets the rest be undone.
    "needs_person": ("running", "rolling_back", "cancelled"),
}  # fmt: skip
CALL_WAYS = {
    "proposed": ("waiting_approval", "ready", "denied", "invalid", "cancelled"),
    "waiting_approval": ("ready", "rejected", "denied", "proposed", "cancelled"),
    "ready": ("executing", "rejected", "denied", "proposed", "cancelled"),
    "executing": ("succeeded", "failed", "unknown"),
    "unknown": ("succeeded", "failed"),
}
UNDO_WAYS = {
    "registered": ("running", "not_needed"),
    "running": ("done", "retry", "dead"),
    "retry": ("running",),
    "dead": ("retry",),  # a person asks for it once more
}
