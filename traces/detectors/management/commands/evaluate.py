"""`evaluate FILE…`: run the detectors on labelled runs, beside the textbook rules."""

import multiprocessing
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import django
import msgspec
from django.core.management.base import BaseCommand, CommandError, CommandParser

from traces.detectors.evaluate import Examined, Row, Share, examine, table
from traces.detectors.labelled import RunError

COLUMNS = ("source", "pattern", "kind", "level", "basis", "detector", "n", "positives", "tp", "fp", "fn", "precision",
           "recall", "f1", "ci_low", "ci_high", "passed_runs", "false_alarms_on_passed", "steps_per_s")  # fmt: skip
SMALL_BYTES = 50_000  # a file that is read before another process has started


class Command(BaseCommand):
    help = "Run the detectors on labelled trajectories, without a database. They see tools and steps only."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("files", nargs="+", metavar="FILE", type=Path)
        parser.add_argument("--format", choices=["table", "json"], default="table")
        parser.add_argument(
            "--nonsense",
            action="store_true",
            help="replace sources, tool names and error texts by made-up words, and say what that costs",
        )

    def handle(self, *, files: list[Path], nonsense: bool, **options: Any) -> None:
        try:
            rows = _rows(files, in_nonsense=False)
            if nonsense:
                rows = _compare(rows, _rows(files, in_nonsense=True))
        except (RunError, OSError, EOFError) as error:
            raise CommandError(str(error)) from None
        if options["format"] == "json":
            self.stdout.write(msgspec.json.encode({"rows": rows}).decode())
            return
        columns = [*COLUMNS, *(["f1_in_nonsense", "f1_drop"] if nonsense else []), "remark"]
        self.stdout.write("  ".join(columns))
        for row in rows:
            self.stdout.write("  ".join(_cell(row[name]) for name in columns))


def _rows(files: list[Path], *, in_nonsense: bool) -> list[Row]:
    """Return the rows of each file, on all cores where the files are not small."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    of = [1 if path.stat().st_size < SMALL_BYTES else cores for path in files]
    shares = [
        Share(path, number, parts, in_nonsense)
        for path, parts in zip(files, of, strict=True)
        for number in range(parts)
    ]
    examined = dict(zip(shares, _examine_all(shares, cores), strict=True))
    by_file = [[run for share in shares if share.path == path for run in examined[share]] for path in files]
    return [row for runs in by_file for row in table(runs)]


def _examine_all(shares: list[Share], cores: int) -> Iterable[list[Examined]]:
    if cores == 1 or all(share.of == 1 for share in shares):
        return map(examine, shares)
    with multiprocessing.Pool(cores, initializer=django.setup) as pool:
        return pool.map(examine, shares, chunksize=1)


def _compare(plain: list[Row], changed: list[Row]) -> list[Row]:
    """Add to each row its F1 when nothing has the name it had, and the drop."""
    names = ("pattern", "kind", "level", "basis", "detector")
    of = {tuple(row[name] for name in ("n", "positives", *names)): row["f1"] for row in changed}
    for row in plain:
        row["f1_in_nonsense"] = f1 = of.get(tuple(row[name] for name in ("n", "positives", *names)))
        row["f1_drop"] = None if None in (f1, row["f1"]) else round(row["f1"] - f1, 4)
    return plain


def _cell(value: Any) -> str:
    return "-" if value is None or value == "" else f"{value:.3f}" if isinstance(value, float) else str(value)
