"""What the clock does with alerts: acknowledgements that run out, silences that end, flapping that has calmed down."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from agentops.audit import services as audit
from agentops.audit.ref import SYSTEM
from traces.alerts import digest, life
from traces.alerts.models import Alert, AlertState
from traces.alerts.silences import HeldBack
from traces.alerts.telling import FLAP_MINUTES, News, tell
from traces.alerts.told import announce

AT_ONCE = 100
FEW = 3  # so many are told one by one after a silence; more share a message


def lapse_acknowledgements() -> None:
    """Let alerts be open again that nobody resolved in the time they took, and tell so. One query if there is none."""
    for alert_id in Alert.objects.lapsed().values_list("pk", flat=True)[:AT_ONCE]:
        _lapse(alert_id)


@transaction.atomic
def _lapse(alert_id: UUID) -> None:
    alert = Alert.objects.lapsed().select_for_update(skip_locked=True, of=("self",)).filter(pk=alert_id).first()
    if alert is None:
        return
    who = str(alert.acknowledged_by)
    if life.lapse(alert):
        tell(alert, News.LAPSED)
        announce(alert.project_id)
        audit.record(
            "alert.acknowledgement_lapsed", actor=SYSTEM, project=alert.project_id, target=alert, detail={"had_by": who}
        )


def settle_flapping() -> None:
    """Let alerts be told at once again that were neither resolved nor failed again for a while. One statement."""
    before = Now() - timedelta(minutes=FLAP_MINUTES)
    calm = Q(alerted_at__lte=before) & (Q(resolved_at=None) | Q(resolved_at__lte=before))
    Alert.objects.filter(calm, flapping_since__isnull=False).update(flapping_since=None)


def tell_what_was_silenced() -> None:
    """Tell of what a silence held back and is still open when it ends. One query where nothing is left."""
    pending = HeldBack.objects.filter(settled_at=None).values("alert")
    over = Alert.objects.heard().filter(pk__in=pending)
    by_project: dict[UUID, list[UUID]] = defaultdict(list)
    for alert_id, project_id in over.order_by("pk").values_list("pk", "project")[:AT_ONCE]:
        by_project[project_id].append(alert_id)
    for alert_ids in by_project.values():
        _tell_after_silence(alert_ids)


@transaction.atomic
def _tell_after_silence(alert_ids: Sequence[UUID]) -> None:
    rows = Alert.objects.heard().filter(pk__in=alert_ids).order_by("pk")
    locked = list(rows.select_for_update(skip_locked=True, of=("self",)))
    pending = HeldBack.objects.filter(alert__in=locked, settled_at=None)
    held = set(pending.values_list("alert", flat=True))
    alerts = [alert for alert in locked if alert.pk in held]
    still = [alert for alert in alerts if alert.state == AlertState.OPEN]
    loud = [alert for alert in still if not digest.is_quiet(alert)]
    together = loud if len(loud) > FEW else []
    if together:
        digest.tell_together(together, title=f"After a silence, {len(together)} alerts are still open")
    for alert in still:
        if alert not in together:
            tell(alert, News.AFTER_SILENCE)
    # What is left waits for the digest, or was resolved or taken on meanwhile.
    pending.update(settled_at=Now())
