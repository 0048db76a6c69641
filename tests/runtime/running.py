"""A desk: a project whose runs a test starts, decides on, advances and looks at."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.db.models.functions import Now

from agentops.accounts.models import Project, Role, User
from agentops.jobs.errors import LeaseLostError
from agentops.runtime import engine, services
from agentops.runtime.models import Compensation, Run, RunJob, ToolCall
from approvals.models import Approval
from approvals.services import Given, decide
from tests.approvals.builders import make_approver, make_policy
from tests.builders import make_membership
from tests.runtime.desk import desk
from traces.models import Span, Trace

FREE = ("look_up", "note")  # of policy LOW; the others need a person


class Desk:
    def __init__(self, project: Project, outside: Path) -> None:
        self.project = project
        self.parts = desk(outside)
        self.outside = self.parts.model.outside  # type: ignore[attr-defined]
        self.approver = make_approver(project)
        self.starter: User = make_membership(project, Role.ADMIN).user
        for tool in FREE:
            make_policy(project, tool, "low")

    def allow(self, *tools: str) -> None:
        """Let these tools run without a person."""
        for tool in tools:
            make_policy(self.project, tool, "medium")

    def start(self, *turns: Any, **fields: Any) -> Run:
        return services.start_run(
            self.project, agent="desk", input=json.dumps([*turns, "Done."]), by=self.starter, **fields
        )

    def advance(self, run: Run, *, times: int = 1) -> Run:
        """Run the run's job, as a worker does, whatever its due time says."""
        for _ in range(times):
            mine = RunJob.objects.filter(run=run)
            mine.update(due_at=Now())
            for job in RunJob.objects.claim(ids=list(mine.values_list("pk", flat=True))):
                try:
                    job.finish(again_in=engine.advance(job, self.parts))
                except LeaseLostError:
                    continue
        return self.fresh(run)

    def fresh(self, run: Run) -> Run:
        return Run.objects.get(pk=run.pk)

    def calls(self, run: Run) -> list[ToolCall]:
        return list(run.calls.in_order())

    def results(self, run: Run) -> list[Any]:
        return [call.result for call in self.calls(run)]

    def undoing(self, run: Run) -> list[Compensation]:
        return list(run.compensations.order_by("call__turn", "call__ordinal"))

    def approvals(self, run: Run) -> list[Approval]:
        return list(Approval.objects.whole().filter(action__run_id=run.pk).order_by("pk"))

    def decide(self, run: Run, decision: str = "approve", **fields: Any) -> None:
        """Decide on everything that a run waits for, and wake it as the resume job does."""
        for approval in self.approvals(run):
            if approval.status == "pending":
                given = Given(**{"decision": decision, "digest": approval.digest, **fields})
                decide(approval, given, member=self.approver)
        self.wake(run)

    def wake(self, run: Run) -> None:
        RunJob.objects.touch([RunJob(run=run)])

    def trace(self, run: Run) -> Trace:
        return Trace.objects.get(project=self.project, trace_id=run.trace_id)

    def steps(self, run: Run) -> list[Span]:
        return list(Span.objects.filter(project=self.project, trace_ref=self.trace(run)).order_by("step_number"))


def due_in(run: Run) -> timedelta:
    """After how long a run's job is due."""
    job = RunJob.objects.annotate(now=Now()).get(run=run)
    left: timedelta = job.due_at - job.now
    return left
