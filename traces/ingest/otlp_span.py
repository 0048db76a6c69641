"""A span or a log record as OTLP carries it, cleaned and within limits; the dialects read nothing else."""

from base64 import b64encode
from collections.abc import Iterable
from functools import cached_property, lru_cache
from math import isfinite
from typing import Any
from uuid import UUID

import msgspec

from traces.ingest.clean import MAX_ATTRIBUTES, MAX_NAME, MAX_TEXT, REPLACEMENT, cut

TRACES, LOGS, METRICS = "traces", "logs", "metrics"  # the signals, as in their addresses
MAX_PER_SPAN = 128  # attributes, events, links; what is beyond is counted, not kept
MAX_DEPTH = 32  # of lists and maps within one attribute
MAX_KEY = 256  # characters of an attribute's key
TRACE_ID_BYTES, SPAN_ID_BYTES = 16, 8
ERROR_STATUS = 2
UNNAMED = ("unknown_service", "langsmith")  # what SDKs call a service that has no name
NO_TRACE = UUID(int=0)  # of a log record that names none

Attributes = dict[str, Any]


class UnreadableError(Exception):
    """Raised for a body that is no OTLP request at all; nothing of it was stored. `status` is 400 or 413."""

    status = 400

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class TooLargeError(UnreadableError):
    """Raised for a request of more spans, or more values, than one transaction should hold."""

    status = 413


def wrong_door(signal: str) -> str:
    """Return what to say of a body that is a request of another signal."""
    return f"The body holds {signal}; send it to /v1/{signal}."


class BadSpanError(Exception):
    """Raised for a span that cannot be kept; it is rejected alone. `pointer` says where it is wrong."""

    def __init__(self, pointer: str, detail: str) -> None:
        super().__init__(detail)
        self.pointer, self.detail = pointer, detail


class Scope(msgspec.Struct, frozen=True, dict=True):
    """Who made the spans: the instrumentation, and what its process says about itself."""

    name: str = ""
    version: str = ""
    resource: Attributes = {}

    @cached_property
    def session(self) -> str | None:
        return self._says("session.id")

    @cached_property
    def user(self) -> str | None:
        return self._says("user.id")

    @cached_property
    def environment(self) -> str | None:
        return self._says("deployment.environment.name", "deployment.environment")

    @cached_property
    def release(self) -> str | None:
        return self._says("service.version")

    @cached_property
    def service(self) -> str:
        """What the process calls itself; empty for the name that SDKs make up."""
        name = self.resource.get("service.name")
        return name if isinstance(name, str) and not name.startswith(UNNAMED) else ""

    def _says(self, *keys: str) -> str | None:
        return next((found for key in keys if isinstance(found := self.resource.get(key), str) and found), None)


class Event(msgspec.Struct, frozen=True):
    name: str
    at_ns: int
    attributes: Attributes


class WireSpan(msgspec.Struct):
    """One span, or one log record: an event in its span's time, whose name is the span's name here."""

    trace: UUID
    span_id: str
    parent_span_id: str | None
    name: str
    start_ns: int
    end_ns: int
    status: int
    message: str
    attributes: Attributes
    events: list[Event]
    scope: Scope
    links: list[Attributes] = []
    kind: int = 0
    repaired: bool = False
    is_record: bool = False
    body: Any = None  # of a record

    @property
    def failed(self) -> bool:
        return self.status == ERROR_STATUS


class Cleaner:
    """Takes in the texts and values of one span, and remembers whether one had to be changed."""

    def __init__(self) -> None:
        self.repaired = False
        self.dropped: Attributes = {}

    def text(self, value: str, limit: int = MAX_TEXT) -> str:
        """Return the text without NULs and within the limit."""
        if "\x00" in value:
            value = value.replace("\x00", REPLACEMENT)
            self.repaired = True
        if len(value) > limit:
            value = cut(value, limit)
            self.repaired = True
        return value

    def value(self, value: Any) -> Any:
        """Return a decoded attribute value that JSON and Postgres can hold."""
        if isinstance(value, str):
            value = self.text(value)
        elif isinstance(value, bytes):
            value = self.text(b64encode(value).decode())
        elif isinstance(value, list):
            value = [self.value(item) for item in value]
        elif isinstance(value, dict):
            value = {self.text(key, MAX_KEY): self.value(item) for key, item in value.items()}
        elif isinstance(value, float) and not isfinite(value):
            value = str(value)  # JSON has no such number
        return value

    def attributes(self, pairs: Iterable[tuple[str, Any]], dropped: int = 0) -> Attributes:
        """Return the first MAX_PER_SPAN attributes, flat, as they were sent; the last of two equal keys wins."""
        found: Attributes = {}
        for place, (key, value) in enumerate(pairs):
            if place >= MAX_PER_SPAN:
                dropped += 1
                continue
            if not key or key in found:
                self.repaired = True
            if not key:
                continue
            found[key if len(key) < MAX_KEY and "\x00" not in key else self.text(key, MAX_KEY)] = self.value(value)
        self.note_dropped("attributes", dropped)
        return found

    def note_dropped(self, what: str, count: int) -> None:
        if count > 0:
            self.dropped[f"otel.dropped_{what}_count"] = self.dropped.get(f"otel.dropped_{what}_count", 0) + count


def fit(attributes: Attributes, limit: int = MAX_ATTRIBUTES) -> Attributes:
    """Return attributes whose JSON is about as long as the limit: the longest values are cut first."""
    sizes = {key: len(msgspec.json.encode(value)) for key, value in attributes.items()}
    total = sum(sizes.values())
    kept = dict(attributes)
    for key in sorted(sizes, key=sizes.__getitem__, reverse=True):
        if total <= limit:
            break
        value = kept[key]
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        kept[key] = cut(text, max(limit // len(attributes), MAX_NAME))
        total -= sizes[key] - len(kept[key])
    return kept


@lru_cache(maxsize=4_096)  # the spans of a batch share a few
def trace_id(raw: bytes) -> UUID:
    if len(raw) != TRACE_ID_BYTES or not any(raw):
        raise BadSpanError("/traceId", f"must be {TRACE_ID_BYTES} bytes that are not all zero")
    return UUID(bytes=raw)


def span_id(raw: bytes) -> str:
    if len(raw) != SPAN_ID_BYTES or not any(raw):
        raise BadSpanError("/spanId", f"must be {SPAN_ID_BYTES} bytes that are not all zero")
    return raw.hex()


def parent_id(raw: bytes, cleaner: Cleaner) -> str | None:
    """Return the parent's id; None for a root, and for an id that is none."""
    if len(raw) == SPAN_ID_BYTES and any(raw):
        return raw.hex()
    cleaner.repaired = cleaner.repaired or bool(raw and any(raw))
    return None
