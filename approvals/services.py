"""What other rooms call: ask, decide, execute, report, withdraw; each under one name."""

from approvals.decisions import (
    AlreadyDecidedError,
    DecisionError,
    Given,
    StaleDigestError,
    decide,
    end,
    how_it_ended,
    note_end,
    refuse_if_over,
)
from approvals.eligible import NotAllowedError, check, deciders, who_may
from approvals.executions import (
    ClaimedError,
    Granted,
    NotApprovedError,
    OutcomeError,
    StaleError,
    StoppedError,
    cancel,
    cancel_of_run,
    claim,
    consume,
    report,
    supersede,
)
from approvals.policies import PolicyError, delete_policy, save_policy
from approvals.proposals import Proposal, ProposalError, ToolFacts, ask
from approvals.stopping import deny_stopped

__all__ = [
    "AlreadyDecidedError",
    "ClaimedError",
    "DecisionError",
    "Given",
    "Granted",
    "NotAllowedError",
    "NotApprovedError",
    "OutcomeError",
    "PolicyError",
    "Proposal",
    "ProposalError",
    "StaleDigestError",
    "StaleError",
    "StoppedError",
    "ToolFacts",
    "ask",
    "cancel",
    "cancel_of_run",
    "check",
    "claim",
    "consume",
    "decide",
    "deciders",
    "delete_policy",
    "deny_stopped",
    "end",
    "how_it_ended",
    "note_end",
    "refuse_if_over",
    "report",
    "save_policy",
    "supersede",
    "who_may",
]
