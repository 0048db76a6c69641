"""What this room announces after commit; connected in agentops/pipeline.py only."""

from django.dispatch import Signal

quarantined = Signal()  # kind: str, job_id: UUID, reason: str — the job is set aside until a person releases it
