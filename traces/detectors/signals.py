"""What this room announces after commit; connected in agentops/pipeline.py and nowhere else."""

from django.dispatch import Signal

found = Signal()  # job_ids: list[UUID], the alert jobs of findings that are new, grew, or were retracted
