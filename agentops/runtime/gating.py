"""The gate of a run's calls: people are asked, and what they say becomes the call's status and its result."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from agentops.runtime import endings, gate, story
from agentops.runtime.failpoints import failpoint
from agentops.runtime.fence import Hold
from agentops.runtime.gate import Refused, Verdict, Wish
from agentops.runtime.models import Run, ToolCall
from agentops.runtime.parts import Parts, Pause
from agentops.runtime.states import CallStatus, RunStatus
from agentops.runtime.tools.base import Preview

# What the model is told, by the end of the approval. No error alone: that reads as "try again".
_TOLD = {
    "rejected": ("rejected_by_human", "A person rejected this call."),
    "answered": ("answered", "A person answered instead of approving."),
    "expired": ("expired", "Nobody decided in time, so it was not done."),
    "cancelled": ("cancelled", "The request was withdrawn before it was decided."),
    "denied": ("denied", "A policy of this project denies this call."),
}
DO_NOT_REPEAT = "do not repeat this call"


def ask(run: Run, call: ToolCall, parts: Parts, preview: Preview, *, reason: str, at: datetime) -> None:
    """Ask the gate for a call, in the caller's transaction, and note its word on the call; the caller saves it."""
    call.asks, call.asked_at = call.asks + 1, at
    wish = Wish(
        run=run,
        call_id=call.key if call.asks == 1 else f"{call.key}-ask-{call.asks}",
        tool=parts.tools[call.tool],
        definition_hash=parts.hashes[call.tool],
        arguments=call.arguments,
        preview=preview,
        reason=reason,
    )
    call.definition_hash, call.granted_arguments = wish.definition_hash, None
    answer = gate.ask(wish)
    if isinstance(answer, Refused):
        call.status, call.ended_at = CallStatus.DENIED, at
        call.result = {"status": "denied", "reason": answer.reason, "retry": "shorten or split the call"}
        story.called(run, call, at=at, ended_at=at)
        return
    call.approval_id = answer.id
    if answer.status == "pending":
        call.status = CallStatus.WAITING_APPROVAL
        call.gate_step_number = None  # asked again: a step of its own
        story.gated(run, call, answer)
    else:
        apply(run, call, answer, at=at)


def settle(hold: Hold, waiting: Sequence[ToolCall]) -> Pause | None:
    """Take in what people decided on waiting calls; rest while the first of them is still undecided."""
    with hold.transaction() as run:
        verdicts = gate.verdicts([call.approval_id for call in waiting if call.approval_id])
        at = endings.now(run)
        for call in waiting:
            verdict = verdicts[call.approval_id] if call.approval_id else None
            if verdict is not None and verdict.status != "pending":
                story.gated(run, call, verdict)
                apply(run, call, verdict, at=at)
                call.save()
        is_blocked = waiting[0].status == CallStatus.WAITING_APPROVAL
        if is_blocked and run.status != RunStatus.WAITING_APPROVAL:
            failpoint("in_parking")
            endings.change(run, RunStatus.WAITING_APPROVAL, waiting_since=at)
        elif not is_blocked and run.status == RunStatus.WAITING_APPROVAL:
            endings.change(run, RunStatus.RUNNING)
    return Pause() if is_blocked else None


def ask_again(hold: Hold, call: ToolCall, parts: Parts, preview: Preview) -> None:
    """Ask for a call whose approval went stale: what people see now is what would run now."""
    with hold.transaction() as run:
        at = endings.now(run)
        ask(run, call, parts, preview, reason="Asked again: something changed since it was approved.", at=at)
        call.save()


def apply(run: Run, call: ToolCall, verdict: Verdict, *, at: datetime) -> None:
    """Let a call stand where its approval does; the caller saves it."""
    if verdict.status == "approved":
        call.status = CallStatus.READY
        call.granted_arguments = None if verdict.arguments == call.arguments else verdict.arguments
    elif verdict.status == "superseded" or (verdict.status == "expired" and call.status == CallStatus.READY):
        call.status = CallStatus.PROPOSED  # approved once, and too late or too old to use
    else:
        call.status = CallStatus.DENIED if verdict.status == "denied" else CallStatus.REJECTED
        call.result, call.ended_at = _result(verdict), at
        if call.status == CallStatus.DENIED:
            story.called(run, call, at=at, ended_at=at)


def _result(verdict: Verdict) -> dict[str, Any]:
    status, sentence = _TOLD[verdict.status]
    return {
        "status": status,
        "reason": verdict.comment or sentence,
        **({"decided_by": verdict.decided_by} if verdict.decided_by else {}),
        "retry": DO_NOT_REPEAT,
    }


def take_back(hold: Hold, call: ToolCall) -> None:
    """Look again at a call that was approved and may not run now: withdrawn, or approved too long ago."""
    with hold.transaction() as run:
        at = endings.now(run)
        verdict = gate.verdicts([call.approval_id])[call.approval_id] if call.approval_id else None
        if verdict is not None and verdict.status != "approved":
            apply(run, call, verdict, at=at)
            call.save()
