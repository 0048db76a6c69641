"""What is found stops the run, where the project lets its pattern do so; in the transaction that found it."""

from collections.abc import Sequence
from uuid import UUID

from traces.containment.services import AlreadyStoppedError, Failure, rules_of, stop
from traces.detectors.base import ALONE, Severity
from traces.detectors.models import Finding
from traces.models import Trace

RANK = {str(severity): rank for rank, severity in enumerate(Severity)}


def contain(trace: Trace, finding_ids: Sequence[UUID]) -> None:
    """Stop a run that still goes on, for the first of these findings that is to stop it. One query; two with a rule.

    Call it last: it locks the trace and the audit trail until the transaction ends.
    """
    if not finding_ids or not trace.may_be_stopped:
        return
    rules = rules_of(trace.project_id)
    if not rules:
        return
    rows = Finding.objects.of(trace.project_id).open().filter(pk__in=finding_ids, pattern__in=rules)
    for finding in rows.exclude(kind__in=ALONE).order_by("received_at", "id"):
        if RANK[finding.severity] >= RANK[rules[finding.pattern]]:
            _stop(trace, finding)
            return


def failure_of(finding: Finding) -> Failure:
    return Failure(
        finding_id=finding.pk, pattern=finding.pattern, onset_at=finding.onset_at, received_at=finding.received_at
    )


def _stop(trace: Trace, finding: Finding) -> None:
    try:
        stop(trace, reason=finding.explanation, by=None, failure=failure_of(finding))
    except AlreadyStoppedError:
        return  # by a person, a moment ago
