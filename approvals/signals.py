"""What this room announces after commit; connected in agentops/pipeline.py only."""

from django.dispatch import Signal

# A run of the built-in agent waits for an approval no longer: job_ids: list[UUID], the resume jobs
decided = Signal()
