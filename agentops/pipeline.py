"""How data flows, on one page: which announcement wakes which jobs.

Every arrow below may be lost without loss of work: the job row was committed with the fact, and the sweeper finds it.

    stored      → detect    a batch of steps is committed; look at the traces it touched
    found       → alert     a detector recognised a failure; bring it under its alert
    decided     → resume    a person decided; the run that waited goes on
    delivered   → clock     a message arrived; stop the clock of its alert
    quarantined → alert     a job failed for good; say so
    channel_failing, channel_recovered → alert   as named
    stopped     → deny      a run was stopped; nothing of it gets through the gate any more
    stopped     → cancel    a run was stopped; where it is one of ours, it ends and is undone
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from django.apps import AppConfig

log = structlog.get_logger(__name__)


class Pipeline(AppConfig):
    name = "agentops.pipeline"

    def ready(self) -> None:
        from agentops.jobs import registry, signals
        from agentops.notify.signals import channel_failing, channel_recovered, delivered
        from approvals.signals import decided
        from traces.containment.signals import stopped
        from traces.detectors.signals import found
        from traces.signals import stored

        registry.discover()
        stored.connect(wake_detection)
        found.connect(wake_alerting)
        decided.connect(wake_run)
        delivered.connect(note_delivery)
        signals.quarantined.connect(report_quarantine)
        channel_failing.connect(look_at_channels)
        channel_recovered.connect(look_at_channels)
        stopped.connect(deny_what_was_stopped)
        stopped.connect(cancel_what_was_stopped)


def wake_detection(job_ids: list[UUID], **_: Any) -> None:
    from agentops.jobs.wake import wake

    wake("detect", job_ids)


def wake_alerting(job_ids: list[UUID], **_: Any) -> None:
    from agentops.jobs.wake import wake

    wake("alert", job_ids)


def wake_run(job_ids: list[UUID], **_: Any) -> None:
    from agentops.jobs.wake import wake

    wake("resume", job_ids)


def note_delivery(key: str, first_attempt_at: datetime, delivered_at: datetime, **_: Any) -> None:
    from traces.alerts import told

    told.note_delivery(key, first_attempt_at, delivered_at)


def report_quarantine(kind: str, job_id: UUID, reason: str, **_: Any) -> None:
    from traces.alerts.system import notice_quarantined

    log.error("job_quarantined", kind=kind, job_id=str(job_id), reason=reason)
    notice_quarantined()


def look_at_channels(**_: Any) -> None:
    from traces.alerts.system import notice_channels

    notice_channels()


def deny_what_was_stopped(**_: Any) -> None:
    from approvals import stopping

    stopping.deny_what_was_stopped()


def cancel_what_was_stopped(**_: Any) -> None:
    from agentops.runtime.tasks import stop_contained_runs

    stop_contained_runs()
