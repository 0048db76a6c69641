"""What people and programs do with runs: start one, cancel one."""

from django.db import transaction
from django.db.models.functions import Now
from django.http import HttpRequest

from agentops.accounts.models import Project, User
from agentops.audit import services as audit
from agentops.audit.ref import SYSTEM, HasRef
from agentops.jobs.wake import wake
from agentops.runtime import llm, news
from agentops.runtime.models import Run, RunJob
from agentops.runtime.states import ENDED

LONGEST_INPUT = 20_000  # characters


class AlreadyEndedError(Exception):
    """The run has ended; the message says how."""


@transaction.atomic
def start_run(  # noqa: PLR0913 - they are one thing each
    project: Project,
    *,
    agent: str,
    input: str,  # noqa: A002 - the word of the contract
    scenario: str | None = None,
    by: User | None,
    key: str | None = None,
    session_id: str = "",
    request: HttpRequest | None = None,
) -> Run:
    """Queue a run of a built-in agent. Starting twice with one `key` returns the first one."""
    run = Run(
        project=project,
        key=key,
        agent=agent,
        input=input,
        scenario=scenario or "",
        session_id=session_id,
        started_by=by,
    )
    Run.objects.bulk_create([run], ignore_conflicts=True)
    stored = Run.objects.of(project).filter(pk=run.pk).first()
    if stored is None:
        return Run.objects.of(project).get(key=key)
    wake_run(stored)
    detail = {"agent": agent, "scenario": scenario or ""}
    audit.record(
        "run.started", actor=_actor(by, request), project=project, target=stored, detail=detail, request=request
    )
    return stored


@transaction.atomic
def cancel_run(run: Run, *, by: User | None, reason: str = "", request: HttpRequest | None = None) -> Run:
    """Let a run start nothing new, and undo what it can; a run that needs a person then undoes the rest.

    Raises AlreadyEndedError. Returns at once: the call that is under way is recorded first.
    """
    why = reason or f"Cancelled by {by}." if by else reason or "Cancelled."
    changed = (
        Run.objects.filter(pk=run.pk, cancel_requested_at=None)
        .exclude(status__in=ENDED)
        .update(cancel_requested_at=Now(), cancel_reason=why)
    )
    run.refresh_from_db()
    if not changed:
        if run.status in ENDED:
            raise AlreadyEndedError(f"This run has ended: {run.status}.")
        return run
    RunJob.objects.filter(run=run).release()
    wake_run(run)
    audit.record(
        "run.cancelled",
        actor=_actor(by, request),
        project=run.project_id,
        target=run,
        detail={"reason": why},
        request=request,
    )
    return run


def may_play(project: Project) -> bool:
    """Say whether a script may stand in for the model in this project."""
    return project.is_sandbox or llm.is_simulated()


def wake_run(run: Run) -> None:
    """Make a run due now, in the caller's transaction."""
    ids = RunJob.objects.touch([RunJob(run=run)])
    news.announce(run)
    transaction.on_commit(lambda: wake(RunJob.kind, ids), robust=True)


def _actor(by: User | None, request: HttpRequest | None) -> HasRef:
    actor: HasRef = getattr(request, "api_key", None) or by or SYSTEM
    return actor
