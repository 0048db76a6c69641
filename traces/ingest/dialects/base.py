"""What a dialect is, and the readings that all of them share."""

import importlib
import pkgutil
import re
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from traces.ingest.clean import clean, is_deeper, may_be_deeper
from traces.ingest.otlp_span import Attributes, Scope, WireSpan
from traces.ingest.record import Call, Result, ToolsetRecord, toolset

TOOL, MODEL, GATE, ERROR = "tool_call", "model_response", "human_gate", "error"
# Before what a call is found by where its provider gave it no id: all of them name it within its trace alone.
SPAN = "span:"  # the id of the call's span, which a log record names
USAGE = "usage:"  # the model and the tokens of a request, which are told apart by their times
# The provider's id of a response lies somewhere in the JSON of what came back.
RESPONSE_ID = re.compile(r'"id"\s*:\s*"((?:msg|resp|chatcmpl|gen)[-_][A-Za-z0-9_-]{4,100})"')
REPEATED = 100_000  # characters of the tools offered to a model, up to which they are remembered
MAX_NESTING = 200  # of JSON within a text; as deep as the native door reads


class Reading(msgspec.Struct, kw_only=True):
    """What one span says; the names are those of the columns and of the trace."""

    event_type: str | None = None
    tool_name: str | None = None
    call_id: str | None = None  # of the tool call, or of the model's response: the provider's own id
    arguments: Any = None
    result: Any = None
    text: str | None = None
    thinking: str | None = None
    preview: str | None = None  # what a person asked
    asked: list[str] = []  # what people said in the request to a model, where one has spoken since its last answer
    model: str | None = None
    provider: str | None = None
    input_tokens: int | None = None  # with those read from and written to a cache
    output_tokens: int | None = None
    cached_tokens: int | None = None  # read from it
    cache_written_tokens: int | None = None
    cost_usd: float | None = None
    agent: str | None = None
    decision: str | None = None
    error: str | None = None
    session: str | None = None
    user: str | None = None
    environment: str | None = None
    release: str | None = None
    tools: ToolsetRecord | None = None
    calls: list[Call] = []
    results: list[Result] = []
    told: list[Call] = []  # the calls that `results` answer
    is_echo: bool = False  # a record of a call that its own span may tell of as well: a client library's, or a log's
    knows_outcome: bool = True  # false where a span that ended without an error may have failed all the same
    run: str | None = None  # what names the trace of a log record that names none
    took_ms: int | None = None  # how long what a log record tells of had taken


class Dialect:
    """Base of dialects: a subclass reads the spans that it matches; the first that matches reads."""

    order: ClassVar[int]  # the more special, the lower
    name: ClassVar[str]
    # The setting or the lines of code that bring what its clients leave out, by the name of a need (ingest/needs.py).
    fixes: ClassVar[dict[str, str]] = {}
    never: ClassVar[frozenset[str]] = frozenset()  # needs that its clients cannot fill, whatever is set
    beside: ClassVar[frozenset[str]] = frozenset()  # needs that log records fill, which come in other requests

    def matches(self, scope: Scope, attributes: Attributes) -> bool:
        raise NotImplementedError

    def read(self, span: WireSpan) -> Reading:
        raise NotImplementedError

    def read_record(self, record: WireSpan) -> Reading | None:
        """Return what a log record says; None for one that stands for no step, as nearly all do."""
        return None


@cache
def all_dialects() -> tuple[Dialect, ...]:
    """Return one of each dialect in this folder, the most special first."""
    for found in pkgutil.iter_modules([str(Path(__file__).parent)]):
        importlib.import_module(f"{__package__}.{found.name}")
    return tuple(sorted((kind() for kind in _concrete(Dialect)), key=lambda one: (one.order, one.name)))


def _concrete(kind: type[Dialect]) -> list[type[Dialect]]:
    below = [each for one in kind.__subclasses__() for each in _concrete(one)]
    return [*below, kind] if "order" in vars(kind) else below


def dialect_of(scope: Scope, attributes: Attributes) -> Dialect:
    for one in all_dialects():
        if one.matches(scope, attributes):
            return one
    raise LookupError("the last dialect matches everything")


def first(attributes: Attributes, *keys: str) -> Any:
    """Return the first value that is there."""
    for key in keys:
        value = attributes.get(key)
        if value is not None and value != "":
            return value
    return None


def text(attributes: Attributes, *keys: str) -> str | None:
    """Return the first value that is there as text; never what a scrubber left of it."""
    for key in keys:
        value = attributes.get(key)
        if value is None or value == "":
            continue
        if not isinstance(value, str):
            return msgspec.json.encode(value).decode()
        return None if value.startswith("[Scrubbed due to") else value
    return None


def count(attributes: Attributes, *keys: str) -> int | None:
    """Return the first value that is a number of tokens."""
    for key in keys:
        value = attributes.get(key)
        if value is None:
            continue
        try:
            number = int(value)
        except (TypeError, ValueError, OverflowError):
            continue
        if 0 <= number <= 2_147_483_647:
            return number
    return None


def amount(attributes: Attributes, *keys: str) -> float | None:
    """Return the first value that is a sum of money."""
    for key in keys:
        value = attributes.get(key)
        if value is None:
            continue
        try:
            sum_of_money = float(value)
        except (TypeError, ValueError):
            continue
        if 0 <= sum_of_money <= 1_000_000:
            return sum_of_money
    return None


def parsed(value: Any) -> Any:
    """Return what a text of JSON says, where it is an object or a list; anything else as it is."""
    if not isinstance(value, str) or value[:1] not in ("{", "["):
        return value
    return decoded(value)


def decoded(value: str | bytes, depth: int = MAX_NESTING) -> Any:
    """Return what a text of JSON says; the text itself where it is none, or nested too deeply."""
    try:
        found = msgspec.json.decode(value)
        if may_be_deeper(value, depth) and is_deeper(found, depth):
            return value
        return clean(found) if _holds_nul(value) else found
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return value


def _holds_nul(text: str | bytes) -> bool:
    """Say whether JSON may hold a NUL. A single character is found ten times faster than a row of them."""
    if isinstance(text, bytes):
        return b"\\" in text and b"\\u0000" in text
    return "\\" in text and "\\u0000" in text


def response_id(answer: str | None) -> str | None:
    """Return the provider's id of a response from the JSON of it."""
    found = RESPONSE_ID.search(answer or "")
    return found[1] if found else None


def named_arguments(sent: Any) -> Any:
    """Return the keyword arguments of a Python call that has no others; anything else as it is."""
    if isinstance(sent, dict) and set(sent) == {"args", "kwargs"} and not sent["args"]:
        return sent["kwargs"]
    return sent


def schemas(offered: Any) -> ToolsetRecord | None:
    """Return tools as the product knows them from any of the shapes that providers give them, or its JSON."""
    if isinstance(offered, str):
        return _schemas_of_text(offered) if len(offered) < REPEATED else _schemas(parsed(offered))
    return _schemas(offered)


@lru_cache(maxsize=64)  # every request to a model offers the same ones again
def _schemas_of_text(offered: str) -> ToolsetRecord | None:
    return _schemas(parsed(offered))


def _schemas(offered: Any) -> ToolsetRecord | None:
    found: list[dict[str, Any]] = []
    for one in offered if isinstance(offered, list) else []:
        tool = parsed(one)
        if isinstance(tool, dict) and isinstance(tool.get("function"), dict):
            tool = tool["function"]
        if not isinstance(tool, dict) or not isinstance(tool.get("name"), str) or not tool["name"]:
            continue
        schema = next((tool[key] for key in SCHEMA_KEYS if isinstance(tool.get(key), dict)), None)
        found.append({"name": tool["name"][:200]} | ({"schema": schema} if schema is not None else {}))
    return toolset(found) if found else None


SCHEMA_KEYS = ("input_schema", "parameters", "inputSchema", "parameters_json_schema", "schema")
