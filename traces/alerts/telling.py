"""Telling people of an alert: what is said when, what a silence holds back, and what can wait for the digest."""

from datetime import datetime
from enum import Enum

from django.db import transaction
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from agentops.notify.message import Message, Phase
from agentops.notify.services import follow, notify
from traces.alerts import digest
from traces.alerts.models import Alert
from traces.alerts.silences import HeldBack, Silence
from traces.alerts.told import note_told

FLAPS, FLAP_MINUTES = 3, 30  # so many times resolved and failed again within so many minutes is flapping


class News(Enum):
    """What is worth a message; three at most of one occurrence reach a channel before somebody has it."""

    OPENED = "opened"
    HIGH = "high"  # it grew to this severity; what grows to medium is on the page
    CRITICAL = "critical"
    RETRACTED = "retracted"
    RECOVERED = "recovered"  # of the system's own: what was broken works again
    LAPSED = "lapsed"  # who had it did not resolve it in time
    FLAPPING = "flapping"
    AFTER_SILENCE = "after_silence"


CAN_WAIT = {News.OPENED, News.LAPSED, News.AFTER_SILENCE}
HEADS = {
    News.HIGH: "Now high: ",
    News.CRITICAL: "Now critical: ",
    News.RETRACTED: "Retracted: ",
    News.RECOVERED: "Recovered: ",
    News.LAPSED: "Nobody has it any more: ",
    News.FLAPPING: "Flapping: ",
    News.AFTER_SILENCE: "After a silence, still open: ",
}
# What the receivers of channels know the news by; the others are of an alert that goes on.
KINDS = {
    News.OPENED: "alert.opened",
    News.AFTER_SILENCE: "alert.opened",
    News.RETRACTED: "alert.resolved",
    News.RECOVERED: "alert.resolved",
}
ENDS = {News.RETRACTED, News.RECOVERED}
INSTEAD = {
    News.RETRACTED: "Steps that came late show that this was no failure. The alert is resolved.",
    News.RECOVERED: "What was broken works again. The alert is resolved.",
    News.FLAPPING: f"It was resolved and failed again {FLAPS} times within {FLAP_MINUTES} minutes. What follows is told"
    f" once an hour, until it has been calm for {FLAP_MINUTES} minutes.",
}


@transaction.atomic
def tell(alert: Alert, news: News) -> None:
    """Write one message about the occurrence under way into the outbox and the feed.

    A silence holds it back, and a quiet alert waits for the digest. The same news of one occurrence is told once. The
    caller has locked the alert. Costs one query beside those of the message.
    """
    is_drill = alert.drill_id is not None  # told at once whatever is silenced: it measures whether anybody would be
    silence = None if is_drill else Silence.objects.of_alert(alert).first()
    if silence is not None:
        HeldBack.objects.create(
            project_id=alert.project_id, silence=silence, alert=alert, occurrence=alert.number, news=news.value
        )
        if news in ENDS:
            tell_followers(alert, "resolved", alert.resolved_at)
    elif not is_drill and news in CAN_WAIT and digest.has_to_wait(alert):
        Alert.objects.filter(pk=alert.pk, waits_since=None).update(waits_since=Now())
    else:
        _write(alert, news)


def _write(alert: Alert, news: News) -> None:
    key = f"alert:{alert.pk}:{alert.number}:{news.value}"
    if news is News.LAPSED:
        key += f":{alert.lapses}"
    elif news is News.AFTER_SILENCE:
        key += f":{uuid7()}"
    deliveries = notify(alert.project_id, message_of(alert, news), key=key, drill=alert.drill_id is not None)
    note_told([alert], key, is_delivered=not deliveries)


def message_of(alert: Alert, news: News) -> Message:
    """Return what people are told, and by which channels choose."""
    said = f"Next: {alert.next_step}" if alert.next_step else ""
    if news is News.LAPSED:
        said = f"Whoever had it did not resolve it in the time that they took. It is open again.\n\n{said}"
    elif news in INSTEAD:
        said = INSTEAD[news]
    elif alert.is_regression:
        said = f"It failed again after it was resolved, for the {alert.number}. time.\n\n{said}"
    return Message(
        kind=KINDS.get(news, "alert.worse"),
        id=f"alert:{alert.pk}",
        title=HEADS.get(news, "") + alert.title,
        body=f"{alert.pattern}, {alert.severity}.\n\n{said}".strip(),
        severity=alert.severity,
        url=alert.get_absolute_url(),
        phase="resolved" if news in ENDS else "opened",
        about=((alert.pattern, alert.agent),),
    )


def tell_followers(alert: Alert, phase: Phase, at: datetime | None) -> None:
    """Tell channels that keep a state of their own, such as an on-call service, how the alert stands now.

    A silence holds none of it back: it makes no noise, and an incident must not stay open behind it.
    Of a drill they know nothing.
    """
    if alert.drill_id is not None:
        return
    message = Message(
        kind=f"alert.{phase}",
        id=f"alert:{alert.pk}",
        title=f"{phase.capitalize()}: {alert.title}",
        severity=alert.severity,
        url=alert.get_absolute_url(),
        phase=phase,
        about=((alert.pattern, alert.agent),),
    )
    follow(alert.project_id, message, key=f"alert:{alert.pk}:{alert.number}:{phase}:{at:%Y%m%dT%H%M%S%f}")
