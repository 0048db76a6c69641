"""Registering a drill: before its first step is sent, or it proves nothing."""

from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils import timezone

from agentops.accounts.models import Project
from agentops.accounts.request import ProjectRequest
from agentops.audit import services as audit
from agentops.audit.ref import HasRef
from agentops.notify.services import loopback
from traces.detectors.registry import all_detectors
from traces.drills.models import Drill
from traces.ids import trace_key
from traces.models import Trace
from traces.threads.models import kept_as

LATEST = timedelta(minutes=5)  # an onset so far ahead is a clock that is wrong
EARLIEST = timedelta(hours=1)
KEPT = timedelta(days=31)
AT_ONCE = 500


class NoDrillError(Exception):
    """This cannot be drilled; the text says why, `field` which of the arguments is at fault."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field


class TooLateError(Exception):
    """The trace is known already: whatever is said of it now was not said before."""


def drillable() -> list[str]:
    """Return the patterns that some detector recognises, in the order of the alphabet."""
    return sorted({kind.pattern for kind in all_detectors()})


@transaction.atomic
def register(
    project: Project,
    *,
    pattern: str,
    trace_id: str,
    onset_at: datetime,
    is_scheduled: bool = False,
    request: ProjectRequest | None = None,
) -> Drill:
    """Note that a run of this pattern is about to be injected. Raises NoDrillError and TooLateError.

    What is found on that trace from now on goes to the loopback channel, which is made here if there is none.
    """
    _check(pattern, onset_at)
    key, _ = trace_key(trace_id)
    if Trace.objects.of(project).filter(trace_id=kept_as(project, key)).exists():
        raise TooLateError("Steps of this trace are here already: register a drill before you inject it.")
    try:
        with transaction.atomic():
            drill = Drill.objects.create(
                project=project, pattern=pattern, trace_id=key, onset_at=onset_at, is_scheduled=is_scheduled
            )
    except IntegrityError:
        raise TooLateError("A drill with this trace is registered already.") from None
    drill.refresh_from_db()
    loopback(project)
    if request is not None:
        actor: HasRef = request.api_key or request.user
        audit.record("drill.registered", actor=actor, project=project, target=drill, request=request)
    return drill


def _check(pattern: str, onset_at: datetime) -> None:
    known = drillable()
    if pattern not in known:
        raise NoDrillError("pattern", f"No detector recognises {pattern[:80]}; there is one for {', '.join(known)}.")
    now = timezone.now()
    if not now - EARLIEST <= onset_at <= now + LATEST:
        raise NoDrillError("onset_at", "The onset of a drill lies within the last hour, by the clock of this server.")


def forget_old() -> None:
    """Remove drills older than a month with all that they raised, a few hundred at a time."""
    old = Drill.objects.filter(registered_at__lt=Now() - KEPT).order_by("registered_at")
    Drill.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:AT_ONCE])).delete()
