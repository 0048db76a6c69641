"""What is noted of each batch: the ledger, and one detection job for each trace that it touched."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from agentops.accounts.models import Project
from agentops.accounts.scoped import ProjectScopedQuerySet
from agentops.jobs.models import Job
from traces.models.trace import Trace


class IngestBatch(models.Model):
    """The ledger: one row for each batch; received = accepted + duplicates + rejected, always."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, db_index=False)
    source = models.TextField()
    key_name = models.TextField(default="", db_default="")
    received_at = models.DateTimeField(db_default=Now())
    received = models.IntegerField()
    accepted = models.IntegerField()
    duplicates = models.IntegerField()
    repaired = models.IntegerField()
    ignored = models.IntegerField(default=0, db_default=0)  # of those accepted, what stands for no step of any trace
    rejected_count = models.IntegerField()
    rejected = models.JSONField()  # [{"index", "errors": [{"pointer", "detail"}]}], the first MAX_REASONS
    traces = ArrayField(models.UUIDField())
    is_indexed = models.BooleanField(default=False, db_default=False)  # search knows its words
    redacted = models.JSONField(default=dict, db_default={})  # secrets that were taken out, each once, by kind
    MAX_REASONS: ClassVar[int] = 100
    objects = ProjectScopedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(
                    received=models.F("accepted") + models.F("duplicates") + models.F("rejected_count"),
                    repaired__lte=models.F("accepted") + models.F("duplicates"),
                    ignored__lte=models.F("accepted"),
                ),
                name="ingest_batch_adds_up",
            ),
        ]
        indexes = [
            # The ledger page and its sums, newest first.
            models.Index(fields=["project", "-received_at", "-id"], name="ingest_batch_list"),
            # What search does not know yet, a few rows: the work of its job, and how far it lags behind.
            models.Index(
                fields=["project", "received_at"], condition=models.Q(is_indexed=False), name="ingest_batch_unindexed"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.accepted} of {self.received} accepted"


class DetectJob(Job):
    """Look at the new steps of one trace; a later batch touches the same row."""

    kind: ClassVar[str] = "detect"
    queue: ClassVar[str] = "detect"
    natural_key: ClassVar[tuple[str, ...]] = ("trace",)
    trace = models.OneToOneField(Trace, on_delete=models.CASCADE)
