"""The job of this room, and the clock that asks for it."""

from agentops.jobs.registry import every, handles
from agentops.jobs.wake import wake
from traces.models import IngestBatch
from traces.search.index import index_waiting
from traces.search.models import IndexJob


@handles("index", atomic=True)
def index(job: IndexJob) -> None:
    index_waiting(job.project_id)


@every(seconds=1)
def index_what_came() -> None:
    """Touch the job of each project with batches that search does not know yet."""
    projects = IngestBatch.objects.filter(is_indexed=False).order_by().values_list("project", flat=True).distinct()
    wake("index", IndexJob.objects.touch(IndexJob(project_id=project) for project in projects))
