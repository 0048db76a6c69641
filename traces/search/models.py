"""What search reads: the different words of a trace, in a few rows, and one job for each project with news."""

from typing import ClassVar

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from uuid_utils.compat import uuid7

from agentops.accounts.models import Project
from agentops.accounts.scoped import ProjectScopedQuerySet
from agentops.jobs.models import Job
from traces.models import Trace


class TraceWords(models.Model):
    """The different words of some steps of a trace, without their places; most traces have one row.

    The row is slim, its words are out of line: who only asks which traces have a word reads the index and slim rows.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, db_index=False)
    # Goes with its trace by a constraint of the database's own, see the migration.
    trace = models.ForeignKey(Trace, on_delete=models.CASCADE, db_index=False, db_constraint=False)
    until = models.IntegerField()  # the first place in the trace's order of arrival that was not read
    words = SearchVectorField()

    objects = ProjectScopedQuerySet.as_manager()

    class Meta:
        indexes = [
            # How far a trace was read.
            models.Index(fields=["trace", "-until"], name="trace_words_of"),
            # Which traces have a word, or one that begins so.
            GinIndex(fields=["words"], name="trace_words_by_word"),
        ]

    def __str__(self) -> str:
        return f"words of {self.trace_id}"


class IndexJob(Job):
    """Read the batches of one project that search does not know yet."""

    kind: ClassVar[str] = "index"
    queue: ClassVar[str] = "index"
    natural_key: ClassVar[tuple[str, ...]] = ("project",)

    project = models.OneToOneField(Project, on_delete=models.CASCADE)

    class Meta(Job.Meta):
        pass

    def __str__(self) -> str:
        return f"index {self.project_id}"
