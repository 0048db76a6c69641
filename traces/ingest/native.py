"""The native wire format: JSON steps, one, a list, `{"steps": […]}`, or one a line (docs/contract: Ingest)."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import UNSET, Raw, UnsetType

from agentops.redaction.hint import may_hold_secrets
from traces.ingest.bulk import TOO_MANY, is_json_too_dense
from traces.ingest.clean import clean, is_deeper, may_be_deeper, may_need_cleaning, repair_json
from traces.ingest.record import Batch, Problem, Rejection
from traces.ingest.step import MAX_DEPTH, FittingStep, StepIn, add_step

MAX_ITEMS = 20_000
T = TypeVar("T")


class BodyError(Exception):
    """Raised when a body cannot be read at all; nothing of it was stored. `status` is 400 or 413."""

    status = 400


class TooLargeError(BodyError):
    status = 413


TOO_MANY_ITEMS = f"The body holds more than {MAX_ITEMS:,} items; send it in smaller batches."


REQUIRED = ("step_number", "timestamp", "event_type")
FIELD_TYPES = get_type_hints(StepIn, include_extras=True)


class _Envelope(msgspec.Struct):
    steps: list[Raw] | UnsetType = UNSET


_decode_start: Callable[[bytes], list[Raw] | _Envelope] = msgspec.json.Decoder(list[Raw] | _Envelope).decode
_decode_fitting: Callable[[Raw], FittingStep] = msgspec.json.Decoder(FittingStep).decode
_steps = msgspec.json.Decoder(StepIn)


def read_body(body: bytes, *, now: datetime, ndjson: bool = False) -> Batch:
    """Return what a request's body holds. Raises BodyError when it cannot be read at all.

    `now` is the moment of receipt, aware; a step that is wrong is rejected alone.
    """
    if is_json_too_dense(body):
        raise TooLargeError(TOO_MANY)
    batch = None if ndjson else _read_whole(body, now)
    if batch is None:
        items = _lines(body) if ndjson else _items(body)
        _check_number(items)
        batch = read_items(items, now=now)
    batch.is_innocent = not may_hold_secrets(body)
    return batch


def _read_whole(body: bytes, now: datetime) -> Batch | None:
    """Return what a body holds of which every step is right; None where each has to be looked at by itself."""
    if may_need_cleaning(body):
        return None
    try:
        start = _decode_start(body)
        items = start.steps if isinstance(start, _Envelope) else start
        if items is UNSET:
            return None
        _check_number(items)
        batch = Batch(received=len(items))
        for raw in items:
            step = _decode_fitting(raw)
            if missing(step):
                return None
            add_step(batch, step, now=now)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return None
    return batch


def _check_number(items: Sequence[Any]) -> None:
    if len(items) > MAX_ITEMS:
        raise TooLargeError(TOO_MANY_ITEMS)


def read_items(items: Iterable[bytes | Raw], *, now: datetime) -> Batch:
    """Return what a sequence of JSON texts, one an item, holds."""
    batch = Batch()
    for index, raw in enumerate(items):
        batch.received += 1
        try:
            step, repaired = decode_item(bytes(raw), _steps)
            problems = missing(step)
        except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
            problems = explain(bytes(raw), error)
        if problems:
            batch.rejected.append(Rejection(index, problems))
        else:
            add_step(batch, step, now=now, repaired=repaired)
    return batch


def _items(body: bytes) -> Sequence[bytes | Raw]:
    if not body.strip():
        raise BodyError('The body is empty; send one step, a list of steps, or {"steps": [...]}.')
    try:
        start = _decode_start(body)
    except RecursionError:
        raise BodyError("The body is nested too deeply to be read.") from None
    except msgspec.DecodeError as error:
        start = _decode_repaired(body, error)
    if isinstance(start, list):
        return start
    return [body] if start.steps is UNSET else start.steps


def _decode_repaired(body: bytes, error: msgspec.DecodeError) -> list[Raw] | _Envelope:
    try:
        repaired = repair_json(body)
        start = _decode_start(repaired)
    except (msgspec.DecodeError, RecursionError):
        raise BodyError(f"The body cannot be read as JSON: {error}.") from None
    if isinstance(start, _Envelope) and start.steps is UNSET:
        return [Raw(repaired)]
    return start


def _lines(body: bytes) -> Sequence[bytes]:
    if not body.strip():
        raise BodyError("The body is empty; send one step a line.")
    if body.count(b"\n") > 2 * MAX_ITEMS:
        raise TooLargeError(TOO_MANY_ITEMS)
    return [line for line in body.split(b"\n") if line.strip()]


def decode_item(raw: bytes, decoder: msgspec.json.Decoder[T]) -> tuple[T, bool]:
    """Return one decoded item, and whether it had to be repaired. Raises msgspec's errors and RecursionError."""
    item, raw = decode_repaired(raw, decoder)
    if may_be_deeper(raw, MAX_DEPTH) and is_deeper(msgspec.json.decode(raw), MAX_DEPTH):
        raise RecursionError
    if not may_need_cleaning(raw):
        return item, False
    plain = msgspec.json.decode(raw)
    cleaned = clean(plain)
    return msgspec.convert(cleaned, decoder.type), cleaned != plain


def decode_repaired(raw: bytes, decoder: msgspec.json.Decoder[T]) -> tuple[T, bytes]:
    """Return one decoded item, in which NULs may be left, and the text it was read from."""
    try:
        return decoder.decode(raw), raw
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeError):
        raw = repair_json(raw)
        return decoder.decode(raw), raw


def missing(step: StepIn) -> list[Problem]:
    """Return a problem for each required field that a step lacks."""
    if not (step.step_number is None or step.timestamp is None or step.event_type is None) or step.is_status:
        return []
    return [Problem(f"/{name}", "is required") for name in REQUIRED if getattr(step, name) is None]


def explain(raw: bytes, error: Exception) -> list[Problem]:
    """Return every fault of an item, each with the pointer to its place."""
    if isinstance(error, RecursionError):
        return [Problem("", "is nested too deeply")]
    try:
        item = msgspec.json.decode(repair_json(raw))
    except (msgspec.DecodeError, RecursionError, UnicodeError) as problem:
        return [Problem("", _sentence(str(problem)))]
    if not isinstance(item, dict):
        return [Problem("", "must be an object that describes one step")]
    return list(_faults(item)) or [Problem("", _sentence(str(error)))]


def _faults(item: dict[str, Any]) -> Iterator[Problem]:
    only_status = item.get("trace_status") is not None and not any(item.get(name) is not None for name in REQUIRED)
    for name, kind in FIELD_TYPES.items():
        value = item.get(name)
        if value is None:
            if name == "trace_id" or (name in REQUIRED and not only_status):
                yield Problem(f"/{name}", "is required")
            continue
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            detail, _, place = str(error).partition(" - at `$")
            allowed = get_args(kind.__args__[0]) if detail.startswith("Invalid enum") else ()
            detail = f"must be one of {', '.join(allowed)}" if allowed else _sentence(detail)
            yield Problem(f"/{name}{_pointer(place.rstrip('`'))}", detail)


def _pointer(path: str) -> str:
    """Return `/0/name` for msgspec's `[0].name`."""
    return path.replace("[", "/").replace("]", "").replace(".", "/")


def _sentence(text: str) -> str:
    return f"{text[:1].lower()}{text[1:]}" if text.startswith("Expected") else text
