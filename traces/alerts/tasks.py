"""The job of this room, and what its clock does."""

from agentops.audit.verify import verify_newest
from agentops.jobs.registry import beside_work, every, handles
from traces.alerts import calm, digest, drills, system, told
from traces.alerts.grouping import bring
from traces.detectors.models import AlertJob, Finding
from traces.drills.services import forget_old


@handles(AlertJob.kind, atomic=True)
def alert(job: AlertJob) -> None:
    bring(Finding.objects.select_related("trace").get(pk=job.finding_id))


@every(seconds=5)
def note_missed_deliveries() -> None:
    told.note_missed_deliveries()


@every(seconds=5)
def notice_quarantined() -> None:
    system.notice_quarantined()


@every(seconds=5)
def notice_channels() -> None:
    system.notice_channels()


@every(seconds=15)
def notice_silent_workers() -> None:
    system.notice_silent_workers()


@every(seconds=15)
def notice_unsent() -> None:
    system.notice_unsent()


@beside_work
def notice_silent_sweepers() -> None:
    system.notice_silent_sweepers()


@every(seconds=300)
def notice_audit() -> None:
    system.notice_audit(verify_newest())


@every(seconds=2)
def tell_what_was_silenced() -> None:
    calm.tell_what_was_silenced()


@every(seconds=2)
def lapse_acknowledgements() -> None:
    calm.lapse_acknowledgements()


@every(seconds=30)
def settle_flapping() -> None:
    calm.settle_flapping()


@every(seconds=10)
def send_digests() -> None:
    digest.send_due()


@every(seconds=10)
def notice_missed_drills() -> None:
    drills.notice_missed()
    drills.recover_when_told()


@every(seconds=3600)
def forget_old_drills() -> None:
    forget_old()
