"""What this room announces after commit; connected in agentops/pipeline.py only."""

from django.dispatch import Signal

# One for each message that a receiver accepted, also for those that travelled inside "and 37 more":
# channel_id: UUID, delivery_id: UUID, key: str, first_attempt_at: datetime, delivered_at: datetime
delivered = Signal()

# A channel has failed for two minutes, or says that it is gone. The feed and the other channels have a message
# already: channel_id: UUID, project_id: UUID, since: datetime, status: str, is_gone: bool
channel_failing = Signal()

# A channel of which that was said works again: channel_id: UUID, project_id: UUID
channel_recovered = Signal()
