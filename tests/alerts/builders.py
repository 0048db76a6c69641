"""Findings and alerts for tests; a test states only what it is about."""

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from django.utils import timezone

from agentops.accounts.models import Project, User
from agentops.jobs.runner import run_due
from tests.traces.builders import send, step
from traces.alerts.grouping import bring
from traces.alerts.models import Alert
from traces.alerts.services import silence_all
from traces.alerts.silences import Silence
from traces.detectors.models import Finding
from traces.models import Trace

_number = count(1)


def make_trace(project: Project, name: str = "", agent: str = "support-desk", steps: int = 3) -> Trace:
    name = name or f"trace-{next(_number)}"
    send(project, *(step(n, trace=name, agent=agent, tool_output={"n": n}) for n in range(1, steps + 1)))
    return Trace.objects.get(project=project, external_trace_id=name)


def make_finding(project: Project, trace: Trace | None = None, **fields: Any) -> Finding:
    """Make one as the detectors do, a moment ago."""
    trace = trace or make_trace(project)
    now = timezone.now()
    onset = f"span-{next(_number)}"
    about: dict[str, Any] = {
        "detector": "ToolLoop",
        "pattern": "tool_loop",
        "kind": "repeated_call",
        "severity": "high",
        "explanation": "search_database gave the same answer 3 times in a row.",
        "next_step": "Stop the run.",
        "tool_name": "search_database",
        "onset_span_id": onset,
        "onset_number": 1,
        "last_span_id": onset,
        "last_number": 3,
        "onset_at": now - timedelta(seconds=20),
        "received_at": now - timedelta(seconds=1),
    }
    made = Finding.objects.create(project=project, trace=trace, **(about | fields))
    made.refresh_from_db()
    return made


def raise_one(project: Project, trace: Trace | None = None, **fields: Any) -> Alert:
    """Make a finding, bring it under its alert, and return that."""
    finding = make_finding(project, trace, **fields)
    bring(finding)
    return Alert.objects.get(project=project, alertfinding__finding=finding)


def silence_one(project: Project, by: User, hours: int = 1, **about: str) -> Silence:
    """Silence a pattern, an agent or a tool for a while."""
    about = {"pattern": "", "agent": "", "tool_name": ""} | about
    return silence_all(project, by=by, about=about, lasting=timedelta(hours=hours), reason="It is known.")


def looping(trace: str = "loop-1", calls: int = 6, agent: str = "support-desk", **fields: Any) -> list[dict[str, Any]]:
    """Return the steps of a run that asks the same again and again."""
    start = datetime.now(UTC) - timedelta(seconds=calls)
    return [
        step(
            n,
            trace=trace,
            agent=agent,
            timestamp=(start + timedelta(seconds=n)).isoformat(),
            tool_input={"q": "refund 10428"},
            tool_output={"rows": []},
            **fields,
        )
        for n in range(1, calls + 1)
    ]


def run_jobs(*kinds: str) -> None:
    """Run what is due, detection and alerting unless kinds are named, as a worker would."""
    for kind in kinds or ("detect", "alert"):
        run_due([kind], overdue_s=0, for_s=30)
