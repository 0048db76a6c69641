"""What this room announces after commit; connected in agentops/pipeline.py and nowhere else."""

from django.dispatch import Signal

stored = Signal()  # job_ids: list[UUID], the detection jobs of the traces that a batch touched
