"""What single values of OTLP in JSON mean: ids, numbers as text, names of enumerations, and attributes."""

from base64 import b64decode
from collections.abc import Iterator
from typing import Any

from traces.ingest.clean import REPLACEMENT
from traces.ingest.otlp_json_model import AnyValueIn, Number, PairIn
from traces.ingest.otlp_span import MAX_DEPTH, BadSpanError


def binary(text: str | None, length: int) -> bytes:
    """Return the bytes of an id: hex as OTLP has it, base64 as the JSON of protobuf has it; anything else is none."""
    if not text:
        return b""
    try:
        return bytes.fromhex(text) if len(text) == 2 * length else b64decode(text, validate=True)
    except ValueError:
        return b""


def enumerated(value: int | str | None, names: dict[str, int]) -> int:
    if isinstance(value, str):
        return int(value) if value.isdecimal() and value.isascii() and len(value) < 4 else names.get(value, 0)
    return value if value is not None and 0 <= value < 1_000 else 0


def nanoseconds(value: Number, pointer: str) -> int:
    """Return nanoseconds. Raises BadSpanError for what is no number of 64 bits."""
    try:
        number = int(value or 0) if not isinstance(value, str) else int(value[:20] or 0)
    except (ValueError, OverflowError):
        raise BadSpanError(pointer, "must be a number of nanoseconds") from None
    if not 0 <= number < 2**64:
        raise BadSpanError(pointer, "must be a number of 64 bits")
    return number


def pairs(attributes: list[PairIn] | None) -> Iterator[tuple[str, Any]]:
    """Yield key and value of each attribute."""
    for pair in attributes or ():
        value = pair.value
        if value is None:
            yield pair.key, None
        elif value.string_value is not None:
            yield pair.key, value.string_value
        else:
            yield pair.key, nested(value)


def nested(value: AnyValueIn | None, depth: int = MAX_DEPTH) -> Any:
    """Return any value as Python holds it; what is nested deeper than the limit is left out."""
    if value is None:
        return None
    if value.array_value is not None:
        return [nested(item, depth - 1) for item in value.array_value.values or ()] if depth else None
    if value.kvlist_value is not None:
        return {one.key: nested(one.value, depth - 1) for one in value.kvlist_value.values or ()} if depth else None
    return _scalar(value)


def _scalar(value: AnyValueIn) -> Any:
    if value.int_value is not None:
        return _integer(value.int_value)
    if value.double_value is not None:
        return _float(value.double_value)
    if value.bytes_value is not None:
        try:
            return b64decode(value.bytes_value, validate=True)
        except ValueError:
            return REPLACEMENT
    return value.bool_value if value.string_value is None else value.string_value


def _float(value: float | str) -> float:
    try:
        return float(value)  # "NaN", "Infinity", "-Infinity" and "1.5" alike
    except ValueError:
        raise BadSpanError("/attributes", "a doubleValue must be a number") from None


def _integer(value: int | str) -> int:
    try:
        number = int(value) if isinstance(value, int) or len(value) <= 20 else None
    except ValueError:
        number = None
    if number is None or not -(2**63) <= number < 2**63:
        raise BadSpanError("/attributes", "an intValue must be a whole number of 64 bits")
    return number
