"""The channel that drills use: it takes everything at once and tells nobody."""

from agentops.notify.channels.base import Envelope, Kind, Outcome, Result
from agentops.notify.models import LOOPBACK, Channel


class Loopback(Kind):
    name = LOOPBACK
    label = "Loopback"
    is_offered = False

    def send(self, channel: Channel, envelope: Envelope) -> Outcome:
        return Outcome(Result.DELIVERED, "accepted")
