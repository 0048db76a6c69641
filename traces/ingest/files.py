"""Files of runs, of steps or of OTLP requests as batches, packed by gzip or not.

JSON lines hold a trajectory, a native step or an OTLP request each, as the file exporter of the collector writes them;
a `.json` file may hold one request over many lines, a `.pb` file one request in protobuf.
"""

import gzip
import io
import itertools
import zlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import msgspec

from traces.ingest import otlp, otlp_json, otlp_protobuf
from traces.ingest.native import decode_repaired, read_items
from traces.ingest.otlp_span import UnreadableError
from traces.ingest.record import Batch, Problem, Rejection
from traces.ingest.trajectory import add_trajectory

RUNS_A_BATCH = 100  # several hundred steps
STEPS_A_BATCH = 1_000
MAX_DOCUMENT = 256 * 1024 * 1024  # bytes, unpacked, of a request that is no line
_anything = msgspec.json.Decoder()


class FileError(Exception):
    """Raised for a file that cannot be read as steps, runs or requests; the message is one sentence."""


def read_file(path: Path, file: IO[bytes], *, now: datetime) -> Iterator[Batch]:
    """Yield the batches of an open file. Raises FileError.

    `now` is the moment of import: the end of the synthetic time of runs that carry none.
    """
    try:
        source = _unpacked(file)
        name = path.name.removesuffix(".gz")
        yield from _read_protobuf(path, source, now) if name.endswith(".pb") else _read_json(path, source, now)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise FileError(f"{path} cannot be unpacked: {error}.") from None


def _unpacked(file: IO[bytes]) -> IO[bytes]:
    is_packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    return io.BufferedReader(gzip.GzipFile(fileobj=file)) if is_packed else file


def _read_protobuf(path: Path, source: IO[bytes], now: datetime) -> Iterator[Batch]:
    body = source.read(MAX_DOCUMENT + 1)
    signal = otlp_protobuf.signal_of(body)
    if signal is None and body:
        raise FileError(f"{path} holds no OTLP request of traces, logs or metrics.")
    if signal is not None:
        yield _request(path, body, [signal], is_json=False, now=now)


def _read_json(path: Path, source: IO[bytes], now: datetime) -> Iterator[Batch]:
    lines: Iterator[bytes] = (line for line in source if line.strip())
    first = next(lines, None)
    if first is None:
        return
    item = _decoded(first)
    if item is None:  # no line by itself, but perhaps the first of a document
        body = first + source.read(MAX_DOCUMENT)
        yield _request(path, body, _signals(path, body), is_json=True, now=now)
        return
    lines = itertools.chain([first], lines)
    if "trajectory_id" in item:
        yield from (_read_runs(chunk, now) for chunk in _chunks(lines, RUNS_A_BATCH))
    elif "trace_id" in item:
        yield from (read_items(chunk, now=now) for chunk in _chunks(lines, STEPS_A_BATCH))
    elif otlp_json.signals_of(first):
        yield from _read_requests(lines, now)
    else:
        raise FileError(f"{path} holds no runs (trajectory_id), no steps (trace_id) and no OTLP (resourceSpans).")


def _decoded(line: bytes) -> dict[str, Any] | None:
    """Return the object of a line; an empty one for other JSON, None for what is no JSON."""
    try:
        item, _ = decode_repaired(line, _anything)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return item if isinstance(item, dict) else {}


def _signals(path: Path, body: bytes) -> list[str]:
    signals = otlp_json.signals_of(body)
    if not signals:
        raise FileError(f"{path} holds neither JSON lines nor one OTLP request in JSON.")
    return signals


def _request(path: Path, body: bytes, signals: list[str], *, is_json: bool, now: datetime) -> Batch:
    """Return the batch of a file that is one request."""
    if len(body) > MAX_DOCUMENT:
        raise FileError(f"{path} is one request of more than {MAX_DOCUMENT // 1024**2} MiB; give one request a line.")
    batch = Batch()
    try:
        for signal in signals:
            otlp.add_request(batch, signal, body, is_json=is_json, now=now)
    except UnreadableError as error:
        raise FileError(f"{path} cannot be read: {error.detail}") from None
    otlp.finish(batch)
    return batch


def _read_requests(lines: Iterator[bytes], now: datetime) -> Iterator[Batch]:
    batch = Batch()
    for line in lines:
        try:
            signals = otlp_json.signals_of(line)
            if not signals:
                raise UnreadableError("The line holds no OTLP request.")
            for signal in signals:
                otlp.add_request(batch, signal, line, is_json=True, now=now)
        except UnreadableError as error:
            batch.rejected.append(Rejection(batch.received, [Problem("", error.detail)]))
            batch.received += 1
        if batch.received >= STEPS_A_BATCH:
            otlp.finish(batch)
            yield batch
            batch = Batch()
    if batch.received:
        otlp.finish(batch)
        yield batch


def _read_runs(lines: list[bytes], now: datetime) -> Batch:
    batch = Batch()
    for line in lines:
        add_trajectory(batch, line, now=now)
    return batch


def _chunks(lines: Iterator[bytes], size: int) -> Iterator[list[bytes]]:
    while chunk := list(itertools.islice(lines, size)):
        yield chunk
