"""`evaluate FILE…`: run the detectors on labelled runs, beside the textbook rules."""

import gzip
from pathlib import Path
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError, CommandParser

from traces.detectors.evaluate import LabelledRun, decode_run, evaluate

COLUMNS = ("source", "pattern", "kind", "basis", "detector", "n", "positives", "tp", "fp", "fn", "precision", "recall",
           "f1", "passed_runs", "false_alarms_on_passed", "steps_per_s")  # fmt: skip


class Command(BaseCommand):
    help = "Run the detectors on labelled trajectories, without a database. They see tools and steps only."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("files", nargs="+", metavar="FILE", type=Path)
        parser.add_argument("--format", choices=["table", "json"], default="table")

    def handle(self, *, files: list[Path], **options: Any) -> None:
        rows = [row for path in files for row in evaluate(self._read(path))]
        if options["format"] == "json":
            self.stdout.write(msgspec.json.encode({"rows": rows}).decode())
            return
        self.stdout.write("  ".join(COLUMNS))
        for row in rows:
            self.stdout.write("  ".join(_cell(row[name]) for name in COLUMNS))

    def _read(self, path: Path) -> list[LabelledRun]:
        try:
            data = path.read_bytes()
            lines = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).splitlines()
        except (OSError, EOFError) as error:
            raise CommandError(f"{path} cannot be read: {error}.") from None
        return [self._run(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]

    def _run(self, path: Path, number: int, line: bytes) -> LabelledRun:
        try:
            return decode_run(line)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise CommandError(f"{path}, line {number}: {error}.") from None


def _cell(value: Any) -> str:
    return "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
