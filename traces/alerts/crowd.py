"""A storm of findings of one cause: whoever counts one of them counts those that wait, so that others need not wait."""

from django.db.models import Exists, OuterRef

from traces.alerts.models import AlertFinding
from traces.detectors.base import ALONE
from traces.detectors.models import AlertJob, Finding, FindingState
from traces.drills.models import Drill

AT_ONCE = 500


def take_waiting(like: Finding) -> list[Finding]:
    """Return findings of the same fingerprint that no worker has come to, and remove their jobs. Two queries.

    The rows are locked until the transaction ends, so no worker takes one meanwhile; a finding that grows in this
    moment waits for it too, and gets a new job.
    """
    of_drill = Drill.objects.of(like.project_id).filter(trace_id=OuterRef("finding__trace__trace_id"))
    jobs = (
        AlertJob.objects.due()
        .filter(
            attempts=0,
            finding__project=like.project_id,
            finding__pattern=like.pattern,
            finding__tool_name=like.tool_name,
            finding__trace__agent=like.trace.agent,
            finding__state=FindingState.OPEN,
            finding__backfill=False,
            finding__fate=None,
        )
        .exclude(finding=like)
        .exclude(finding__kind__in=ALONE)
        .exclude(Exists(of_drill))
    )
    taken = jobs.select_for_update(skip_locked=True, of=("self",)).select_related("finding__trace").order_by("due_at")
    found = list(taken[:AT_ONCE])
    if found:
        AlertJob.objects.filter(pk__in=[job.pk for job in found]).delete()
    return [job.finding for job in found]


def link(findings: list[Finding], fate: AlertFinding) -> None:
    """Give these findings one fate, whatever they had. One query."""
    columns = ["fate", "alert", "occurrence", "is_retracted"]
    given = {name: getattr(fate, name) for name in columns}
    rows = [AlertFinding(finding=finding, **given) for finding in findings]
    AlertFinding.objects.bulk_create(rows, update_conflicts=True, unique_fields=["finding"], update_fields=columns)
