"""One turn of the model: it is asked outside any transaction, and journaled before anything acts on its answer."""

from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any

import msgspec
import structlog
from django.utils import timezone

from agentops.jobs.errors import describe
from agentops.runtime import context, endings, gating, records, schema, story
from agentops.runtime.dispatch import INVALID, Dispatcher
from agentops.runtime.failpoints import failpoint
from agentops.runtime.fence import Hold
from agentops.runtime.guard import same_call_key
from agentops.runtime.llm import Answer, ModelError
from agentops.runtime.models import ModelTurn, Run, ToolCall
from agentops.runtime.parts import Parts, Pause
from agentops.runtime.states import CallStatus, RunStatus
from agentops.runtime.tools.base import Call, Preview, Tool
from traces.ingest.clean import clean

BACKOFF_S = (1.0, 2.0, 5.0, 15.0, 60.0)
STOPS_WITH_CALLS = "tool_use"
GOES_ON = "pause_turn"
GOOD_ENDS = frozenset({"end_turn", "stop_sequence"})
BAD_ENDS = {
    "refusal": "The model refused to go on.",
    "max_tokens": "The model's answer was longer than it may be.",
}

log = structlog.get_logger(__name__)


class Plan(msgspec.Struct, kw_only=True):
    """A call that the model asks for, as the dispatcher judged it."""

    ordinal: int
    use_id: str
    tool: str
    arguments: dict[str, Any]
    refusal: dict[str, Any] | None
    preview: Preview | None = None


def next_turn(hold: Hold, run: Run, parts: Parts) -> Pause | None:
    """Let the model have the word, or end a run in which it has said its last."""
    last = run.turns.order_by("-turn").first()
    if last is None or last.stop_reason in (STOPS_WITH_CALLS, GOES_ON):
        return _ask(hold, run, parts)
    if last.stop_reason in GOOD_ENDS:
        return endings.succeed(hold)
    endings.close(hold, RunStatus.FAILED, BAD_ENDS.get(last.stop_reason, f"The model stopped: {last.stop_reason}."))
    return None


def _ask(hold: Hold, run: Run, parts: Parts) -> Pause | None:
    """Ask the model and journal its answer; nobody ever sees an answer that was not."""
    request = context.request(run, parts)
    asked_at = timezone.now()
    failpoint("before_model")
    try:
        answer = parts.model(request)
        content = clean(answer.content)
        uses = _uses(run, answer, content)
    except ModelError as error:
        return _put_off(hold, error)
    failpoint("after_model")
    answered_at = timezone.now()
    plans = _plan(run, uses, parts, answered_at)
    with hold.transaction() as run:
        failpoint("in_journal")
        turn = _journal(run, answer, content, (asked_at, answered_at), context.digest(request))
        story.answered(run, turn, parts)
        reason = story.said(content, "text") or ""
        for plan in plans:
            _write_call(run, plan, parts, reason, answered_at)
        failpoint("before_journal_commit")
    failpoint("after_journal")
    return None


def ask_again(hold: Hold, call: ToolCall, parts: Parts) -> None:
    """Ask for a call whose approval went stale, with what it would do now."""
    refusal = schema.refusal(parts.tools, call.tool, call.arguments)
    if refusal is not None:  # the tool has changed
        records.deny(hold, call, refusal)
        return
    seen = preview(parts.tools[call.tool], call.arguments, _call(call.run, call.turn, call.ordinal))
    gating.ask_again(hold, call, parts, seen)


def _uses(run: Run, answer: Answer, content: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the calls that an answer asks for. Raises ModelError for an answer nobody could have meant."""
    if answer.stop_reason != STOPS_WITH_CALLS:
        content[:] = [block for block in content if block.get("type") != "tool_use"]  # they may be cut short
        return []
    uses = [block for block in content if block.get("type") == "tool_use"]
    ids = [use["id"] for use in uses]
    if not uses:
        raise ModelError("The model stopped for a tool and named none.")
    if len(set(ids)) < len(ids) or run.calls.filter(tool_use_id__in=ids).exists():
        raise ModelError("The model gave two calls the same id.")
    if not all(isinstance(use.get("input"), dict) for use in uses):
        raise ModelError("The model gave arguments that are no object.")
    return uses


def _plan(run: Run, uses: list[dict[str, Any]], parts: Parts, at: datetime) -> list[Plan]:
    """Let the dispatcher judge the calls, in their order, and look at what those that pass would do."""
    calls = list(run.calls.order_by("turn", "ordinal"))
    dispatcher = _dispatcher(calls, parts)
    plans = []
    for ordinal, use in enumerate(uses):
        tool, arguments = use["name"], use["input"]
        refusal = dispatcher.refusal(tool, arguments, now_s=at.timestamp())
        refusal = _standing_refusal(calls, tool, arguments) or refusal
        plan = Plan(ordinal=ordinal, use_id=use["id"], tool=tool, arguments=arguments, refusal=refusal)
        if refusal is None:
            plan.preview = preview(parts.tools[tool], arguments, _call(run, run.turn + 1, ordinal))
        plans.append(plan)
    return plans


def _dispatcher(calls: list[ToolCall], parts: Parts) -> Dispatcher:
    """Return the dispatcher as the calls so far left it: the same in every process."""
    dispatcher = Dispatcher(parts.tools)
    for call in calls:
        at_s = call.decided_at.timestamp()
        if dispatcher.refusal(call.tool, call.arguments, now_s=at_s) is None and call.ended_at is not None:
            dispatcher.note(call.tool, is_ok=call.is_ok, now_s=call.ended_at.timestamp())
    return dispatcher


def _standing_refusal(calls: list[ToolCall], tool: str, arguments: dict[str, Any]) -> dict[str, Any] | None:
    """Return what people said to the same call before: they are not asked again in this run."""
    digest = call_digest(tool, arguments)
    rejected = (call for call in calls if call.status == CallStatus.REJECTED and bytes(call.digest) == digest)
    return next(({**call.result, "asked_before": True} for call in rejected if call.result), None)


def _journal(
    run: Run, answer: Answer, content: list[dict[str, Any]], times: tuple[datetime, datetime], digest: bytes
) -> ModelTurn:
    run.turn += 1
    run.tokens += answer.usage.input_tokens + answer.usage.output_tokens
    run.cost_usd += answer.cost_usd or Decimal(0)
    run.unpriced += answer.cost_usd is None
    run.model_failures = 0
    run.save(update_fields=["turn", "tokens", "cost_usd", "unpriced", "model_failures"])
    return ModelTurn.objects.create(
        run=run,
        turn=run.turn,
        step_number=story.next_number(run),
        request_digest=digest,
        content=content,
        stop_reason=answer.stop_reason or "",
        model=answer.model,
        is_simulated=answer.simulated,
        input_tokens=answer.usage.input_tokens,
        output_tokens=answer.usage.output_tokens,
        cached_tokens=answer.usage.cached_tokens,
        cost_usd=answer.cost_usd,
        asked_at=times[0],
        answered_at=times[1],
    )


def _write_call(run: Run, plan: Plan, parts: Parts, reason: str, at: datetime) -> None:
    """Write a call down with the word of the dispatcher, or of the gate, on it."""
    tool = parts.tools.get(plan.tool)
    call = ToolCall(
        run=run,
        turn=run.turn,
        ordinal=plan.ordinal,
        tool_use_id=plan.use_id,
        key=call_key(run, run.turn, plan.ordinal),
        tool=plan.tool,
        definition_hash=parts.hashes.get(plan.tool, ""),
        arguments=plan.arguments,
        digest=call_digest(plan.tool, plan.arguments),
        effect=str(tool.effect) if tool else "",
        risk=str(tool.risk) if tool else "",
        decided_at=at,
        status=CallStatus.PROPOSED,
    )
    if run.cancel_requested_at is not None:
        call.status, call.ended_at = CallStatus.CANCELLED, at
    elif plan.refusal is not None:
        status = plan.refusal["status"]
        call.status = CallStatus.INVALID if status in INVALID else CallStatus.DENIED
        call.result, call.ended_at = plan.refusal, at
        story.called(run, call, at=at, ended_at=at)
    elif plan.preview is not None:
        gating.ask(run, call, parts, plan.preview, reason=reason, at=at)
    call.save(force_insert=True)


def _put_off(hold: Hold, error: ModelError) -> Pause | None:
    """Note that there was no answer; ask again later, or fail after several in a row."""
    with hold.transaction() as run:
        run.model_failures += 1
        run.save(update_fields=["model_failures"])
        story.failed(run, str(error), at=endings.now(run))
        failures = run.model_failures
    if error.is_fatal or failures > len(BACKOFF_S):
        endings.close(hold, RunStatus.FAILED, f"The model gave no answer: {error}")
        return None
    wait_s = BACKOFF_S[failures - 1] if error.retry_after_s is None else error.retry_after_s
    return Pause(timedelta(seconds=wait_s))


def preview(tool: Tool, arguments: dict[str, Any], call: Call) -> Preview:
    """Return what a tool says a call would do; one that fails to say it must not end the run."""
    try:
        return tool.preview(arguments, call)
    except Exception as error:
        log.warning("preview_failed", tool=tool.name, error=describe(error))
        return Preview(title=tool.name)


def call_key(run: Run, turn: int, ordinal: int) -> str:
    return f"{run.pk.hex}-{turn}-{ordinal}"


def call_digest(tool: str, arguments: dict[str, Any]) -> bytes:
    return sha256(same_call_key(tool, arguments)).digest()


def _call(run: Run, turn: int, ordinal: int) -> Call:
    return Call(run_id=str(run.pk), key=call_key(run, turn, ordinal), project_id=str(run.project_id))
