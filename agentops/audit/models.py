"""The audit trail: who did what, append-only and chained by hashes."""

from typing import Self
from uuid import UUID

from django.db import models
from uuid_utils.compat import uuid7


class EntryQuerySet(models.QuerySet["Entry"]):
    def of(self, project: models.Model | UUID | None) -> Self:
        """Return one chain: a project's, or the installation's for None."""
        return self.filter(project_id=project.pk if isinstance(project, models.Model) else project)


class Entry(models.Model):
    """One thing that someone did. Rows are never changed: a trigger refuses UPDATE, DELETE and TRUNCATE.

    `project_id` is no foreign key: the trail outlives what it tells about. Without a project the row belongs to the
    chain of the installation. `hash` covers the hash before it and every other column.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project_id = models.UUIDField(null=True)
    seq = models.BigIntegerField()
    at = models.DateTimeField()
    action = models.CharField(max_length=60)
    actor_kind = models.CharField(max_length=20)
    actor_id = models.CharField(max_length=60, blank=True)
    actor_name = models.CharField(max_length=200, blank=True)
    target_kind = models.CharField(max_length=40, blank=True)
    target_id = models.CharField(max_length=100, blank=True)
    target_name = models.CharField(max_length=200, blank=True)
    detail = models.JSONField(default=dict)
    ip = models.GenericIPAddressField(null=True)
    user_agent = models.CharField(max_length=300, blank=True)
    hash = models.BinaryField(editable=False)

    objects = EntryQuerySet.as_manager()

    class Meta:
        db_table = "audit_entry"
        constraints = [
            # Also the index of the page (newest first within a project) and of the lookup of a chain's head.
            models.UniqueConstraint(
                fields=["project_id", "seq"], name="audit_entry_seq_in_chain", nulls_distinct=False
            ),
            models.CheckConstraint(condition=models.Q(seq__gte=1), name="audit_entry_seq_starts_at_one"),
        ]

    def __str__(self) -> str:
        return f"{self.actor_name} {self.action} {self.target_name}"
