"""`import FILE…`: read runs, steps or OTLP requests from files through the ingest path."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from tqdm import tqdm

from agentops.accounts.models import Project
from traces.ingest.files import FileError, read_file
from traces.ingest.record import Batch, Origin
from traces.ingest.store import store

SHOWN = 10  # rejected items told on stderr, of each file


class Command(BaseCommand):
    help = (
        "Read trajectories or native steps (JSONL), or OTLP (.pb, .json, or JSONL of the collector); .gz of each. "
        "Their findings notify nobody unless --notify is given."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("files", nargs="+", metavar="FILE", type=Path)
        parser.add_argument("--project", default="default", help="slug of the project (default: %(default)s)")
        parser.add_argument("--notify", action="store_true", help="treat findings as live: alert people")

    def handle(self, *, files: list[Path], project: str, notify: bool, **_: Any) -> None:
        target = Project.objects.filter(slug=project).first()
        if target is None:
            raise CommandError(f"There is no project {project}.")
        origin = Origin(source="import", key_name="import", backfill=not notify)
        accepted = duplicates = rejected = 0
        try:
            for path in files:
                for batch in self._batches(path):
                    receipt = store(target, batch, origin)
                    accepted += receipt.accepted
                    duplicates += receipt.duplicates
                    rejected += len(receipt.rejected)
        except FileError as error:
            raise CommandError(str(error)) from None
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.") from None
        finally:
            self.stdout.write(f"accepted {accepted} duplicate {duplicates} rejected {rejected}")

    def _batches(self, path: Path) -> Any:
        """Yield the batches of a file, with a progress bar over its bytes on stderr, or one line where none can be."""
        now = timezone.now()
        told = ignored = 0
        with (
            path.open("rb") as file,
            tqdm(total=path.stat().st_size, unit="B", unit_scale=True, desc=path.name, disable=None) as bar,
        ):
            for batch in read_file(path, file, now=now):
                yield batch
                bar.update(file.tell() - bar.n)
                told = self._tell(path, batch, told)
                ignored += batch.ignored
        if ignored:
            self.stderr.write(f"{path.name}: {ignored} accepted items stand for no step of a run and are not kept.")
        if bar.disable:
            self.stderr.write(f"{path.name}: read.")

    def _tell(self, path: Path, batch: Batch, told: int) -> int:
        for rejection in batch.rejected[: max(SHOWN - told, 0)]:
            first = rejection.errors[0]
            self.stderr.write(f"{path.name}: rejected {first.pointer or 'item'}: {first.detail}")
        return told + len(batch.rejected)
