"""What this room announces after commit; connected in agentops/pipeline.py and nowhere else."""

from django.dispatch import Signal

stopped = Signal()  # stop_id: UUID
