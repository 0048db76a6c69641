"""Files of runs and steps as batches: JSON lines, packed by gzip or not, of trajectories or of native steps."""

import gzip
import io
import itertools
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO

import msgspec

from traces.ingest.native import decode_repaired, read_items
from traces.ingest.record import Batch
from traces.ingest.trajectory import add_trajectory

RUNS_A_BATCH = 100  # several hundred steps
STEPS_A_BATCH = 1_000
_anything = msgspec.json.Decoder()


class FileError(Exception):
    """Raised for a file that cannot be read as steps or runs; the message is one sentence."""


def read_file(path: Path, file: IO[bytes], *, now: datetime) -> Iterator[Batch]:
    """Yield the batches of an open file. Raises FileError.

    `now` is the moment of import: the end of the synthetic time of runs that carry none.
    """
    if path.suffix in {".pb", ".json"}:
        raise FileError(f"{path} looks like OTLP, which is not read yet; give JSON lines (.jsonl, .jsonl.gz).")
    lines = _lines(path, file)
    first = next(lines, None)
    if first is None:
        return
    read, size = (_read_runs, RUNS_A_BATCH) if _is_run(path, first) else (_read_steps, STEPS_A_BATCH)
    lines = itertools.chain([first], lines)
    while chunk := list(itertools.islice(lines, size)):
        yield read(chunk, now)


def _read_runs(lines: list[bytes], now: datetime) -> Batch:
    batch = Batch()
    for line in lines:
        add_trajectory(batch, line, now=now)
    return batch


def _read_steps(lines: list[bytes], now: datetime) -> Batch:
    return read_items(lines, now=now)


def _lines(path: Path, file: IO[bytes]) -> Iterator[bytes]:
    packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    source = io.BufferedReader(gzip.GzipFile(fileobj=file)) if packed else file
    try:
        yield from (line for line in source if line.strip())
    except (OSError, EOFError) as error:
        raise FileError(f"{path} cannot be unpacked: {error}.") from None


def _is_run(path: Path, line: bytes) -> bool:
    try:
        item, _ = decode_repaired(line, _anything)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise FileError(f"{path} holds no JSON lines: its first line cannot be read.") from None
    if isinstance(item, dict) and "trajectory_id" in item:
        return True
    if isinstance(item, dict) and "trace_id" in item:
        return False
    raise FileError(f"{path} holds neither runs (trajectory_id) nor steps (trace_id).")
