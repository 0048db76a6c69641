"""Words of states, severities and tiers, each with its own shape (a mark) and tone: colour alone never carries it."""

from typing import NamedTuple


class Look(NamedTuple):
    mark: str
    tone: str = ""
    word: str = ""


_STATES = {
    "running": Look("running", "live"),
    "executing": Look("running", "live"),
    "claimed": Look("running", "live"),
    "rolling_back": Look("rolled_back", "live", "rolling back"),
    "queued": Look("later", "ghost"),
    "proposed": Look("later", "ghost"),
    "pending": Look("waiting", "wait", "waiting"),
    "waiting": Look("waiting", "wait"),
    "waiting_approval": Look("waiting", "wait", "waiting for approval"),
    "needs_person": Look("unknown", "wait", "needs a person"),
    "unknown": Look("unknown", "wait"),
    "acknowledged": Look("acknowledged", "wait"),
    "ok": Look("ok", "good"),
    "succeeded": Look("ok", "good"),
    "approved": Look("ok", "good"),
    "answered": Look("ok", "good"),
    "resolved": Look("ok", "good"),
    "delivered": Look("ok", "good"),
    "error": Look("failed", "bad"),
    "failed": Look("failed", "bad"),
    "quarantined": Look("failed", "bad"),
    "failing": Look("failed", "bad"),
    "gone": Look("failed", "bad"),
    "working": Look("ok", "good"),
    "paused": Look("waiting", "wait"),
    "open": Look("open", "bad"),
    "on": Look("ok"),
    "off": Look("cancelled"),
    "shadow": Look("unknown", "ghost", "in shadow"),
    "stopped": Look("stopped", "solid"),
    "rolled_back": Look("rolled_back", "solid", "rolled back"),
    "rejected": Look("cancelled"),
    "denied": Look("cancelled"),
    "cancelled": Look("cancelled"),
    "superseded": Look("cancelled"),
    "retracted": Look("cancelled"),
    "revoked": Look("cancelled"),
    "expired": Look("expired"),
}
_SEVERITIES = {
    "critical": Look("critical", "bad"),
    "high": Look("high", "bad"),
    "medium": Look("medium", "wait"),
    "low": Look("low"),
}


def state_look(state: str) -> Look:
    """Return mark, tone and word of a state; one that nobody named gets a plain dot and its own name."""
    look = _STATES.get(state, Look("later", "ghost"))
    return look._replace(word=look.word or state.replace("_", " "))


def severity_look(severity: str) -> Look:
    """Return mark, tone and word of a severity."""
    look = _SEVERITIES.get(severity, Look("low"))
    return look._replace(word=severity)
