"""The job of this room, and what its clock does."""

from agentops.jobs.registry import every, handles
from traces.alerts import system, telling
from traces.alerts.grouping import bring
from traces.detectors.models import AlertJob, Finding


@handles(AlertJob.kind, atomic=True)
def alert(job: AlertJob) -> None:
    bring(Finding.objects.select_related("trace").get(pk=job.finding_id))


@every(seconds=5)
def note_missed_deliveries() -> None:
    telling.note_missed_deliveries()


@every(seconds=5)
def notice_quarantined() -> None:
    system.notice_quarantined()


@every(seconds=2)
def tell_what_was_silenced() -> None:
    telling.tell_what_was_silenced()
