"""What conversations say, in the shapes that clients send them: answers, thoughts, calls, and results of calls."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw

from traces.ingest.clean import REPLACEMENT
from traces.ingest.dialects.base import MAX_NESTING, Reading, decoded, parsed
from traces.ingest.record import Call, Result

TEXTS, THOUGHTS = {"text", "output_text"}, {"reasoning", "thinking"}
CALLS = {"tool_call", "tool_use", "tool-call", "function_call", "server_tool_call"}
RESULTS = {"tool_call_response", "tool_result", "tool-result", "function_call_output", "server_tool_call_response"}
ASKED_CHARS, ASKED_TEXTS = 16_000, 20  # of what people said in one conversation, the newest first
USER = "user"
PART = 3  # levels of JSON around what a part of a message holds
NULL = Raw(b"null")
NotEmpty = Annotated[str, Meta(min_length=1)]
ROLES = {"ai": "assistant", "AIMessageChunk": "assistant", "model": "assistant", "human": USER}


class Said(msgspec.Struct):
    """One message, taken apart."""

    role: str
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[Call] = []
    results: list[Result] = []


_split: msgspec.json.Decoder[list[Raw]] = msgspec.json.Decoder(list[Raw])


class Conversation:
    """The messages of a list, or of the JSON of one; what is no message is left out.

    Each is read when it is asked for, and once: of a long history, which every request repeats, hardly any is.
    """

    def __init__(self, value: Any) -> None:
        self._sent = _messages(value)
        self._read: dict[int, Said | None] = {}

    def __iter__(self) -> Iterator[Said]:
        return (said for place in range(len(self._sent)) if (said := self._at(place)))

    def __reversed__(self) -> Iterator[Said]:
        return (said for place in reversed(range(len(self._sent))) if (said := self._at(place)))

    def texts_of_people(self) -> Iterator[str]:
        """Yield what people said, the last first; of the rest of a conversation nothing is read."""
        for place in reversed(range(len(self._sent))):
            if self._may_be_of_person(place) and (said := self._at(place)) and said.role == USER:
                yield from reversed(said.texts)

    def _at(self, place: int) -> Said | None:
        if place not in self._read:
            one = self._sent[place]
            self._read[place] = said_in(bytes(one)) if isinstance(one, Raw) else said_of(one)
        return self._read[place]

    def _may_be_of_person(self, place: int) -> bool:
        one = self._sent[place]
        if place in self._read or not isinstance(one, Raw):
            return True
        message = bytes(one)
        return b'"user"' in message or b'"human"' in message


def _messages(value: Any) -> list[Any]:
    if isinstance(value, str) and value[:1] == "[":
        try:
            return _split.decode(value)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            return []
    found = parsed(value)
    if isinstance(found, dict):
        return [found]
    return found if isinstance(found, list) else []


def note_answer(reading: Reading, messages: Conversation) -> None:
    """Take text, thoughts and calls from what a model answered."""
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[Call] = []
    for said in messages:
        texts += said.texts
        thoughts += said.thoughts
        calls += said.calls
    reading.text = "\n\n".join(texts) or reading.text
    reading.thinking = "\n\n".join(thoughts) or reading.thinking
    reading.calls = calls or reading.calls


def note_request(reading: Reading, messages: Conversation) -> None:
    """Take the results that are new in a request: those after the last answer. The rest is history, told before.

    Where a person has spoken since, take what people said in it, the turns before included: these may lie in traces of
    their own.
    """
    has_spoken = False
    for said in reversed(messages):
        if said.role == "assistant" or said.calls:
            answered = {result.id for result in reading.results}
            reading.told = [call for call in said.calls if call.id in answered]
            break
        reading.results = [*said.results, *reading.results]
        has_spoken |= said.role == USER and bool(said.texts)
    first = (text for said in messages if said.role == USER for text in said.texts)
    reading.preview = next(first, None) or reading.preview
    if has_spoken:
        reading.asked = _within(messages.texts_of_people())


def _within(texts: Iterable[str]) -> list[str]:
    """Return the first of some texts in reverse, ASKED_CHARS of them at most; of one that is too long both ends."""
    found: list[str] = []
    room = ASKED_CHARS
    for text in texts:
        if room <= 0 or len(found) >= ASKED_TEXTS:
            break
        found.append(text if len(text) <= room else f"{text[: room // 2]}\n{text[len(text) - room // 2 :]}")
        room -= len(text)
    return found[::-1]


def unwrapped(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message without what LangChain puts around it when it writes one down."""
    inner = (message.get(key) for key in ("kwargs", "data", "output"))
    return next((one for one in inner if isinstance(one, dict) and "content" in one), message)


def note_tool_message(reading: Reading, output: Any) -> Any:
    """Return a tool's result without LangChain's message, which names the call and says whether it went well."""
    message = unwrapped(output) if isinstance(output, dict) else None
    if message is None or message.get("type") != "tool" or "content" not in message:
        return output
    reading.call_id = reading.call_id or _string(message, "tool_call_id") or None
    if message.get("status") == "error":
        reading.error = _string(message, "content") or "the tool said that it failed"
    return message["content"]


class _Text(msgspec.Struct, tag_field="type", tag="text", forbid_unknown_fields=True, gc=False):
    content: str


class _Thought(msgspec.Struct, tag_field="type", tag="reasoning", forbid_unknown_fields=True, gc=False):
    content: str


class _Call(msgspec.Struct, tag_field="type", tag="tool_call", forbid_unknown_fields=True, gc=False):
    id: NotEmpty
    name: NotEmpty
    arguments: Raw = NULL


class _Result(msgspec.Struct, tag_field="type", tag="tool_call_response", forbid_unknown_fields=True, gc=False):
    id: NotEmpty
    response: Raw = NULL


class _Message(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A message in the shape that the conventions for generative AI give it, as most come: it is decoded in C."""

    role: NotEmpty
    parts: list[_Text | _Thought | _Call | _Result]
    finish_reason: str | None = None


_typed: msgspec.json.Decoder[_Message] = msgspec.json.Decoder(_Message)


def said_in(sent: bytes) -> Said | None:
    """Return what the JSON of a message says; None where it is no message."""
    try:
        return said_by_parts(sent)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return said_of(decoded(sent))


def said_by_parts(sent: bytes) -> Said:
    """Return what `said_of` makes of the same JSON, in half the time.

    Raises msgspec.DecodeError for a message in any other shape, RecursionError for a value that is nested too deeply.
    """
    message = _typed.decode(sent)
    role = _clean(message.role)
    said = Said(ROLES.get(role, role))
    for part in message.parts:
        if isinstance(part, _Text):
            said.texts += [_clean(part.content)] if part.content else []
        elif isinstance(part, _Thought):
            said.thoughts += [_clean(part.content)] if part.content else []
        elif isinstance(part, _Result):
            said.results.append(Result(_clean(part.id), _plain(_value(part.response))))
        else:
            call = Call(_clean(part.id), _clean(part.name), parsed(_value(part.arguments)))
            if not said.calls or all(known.id != call.id for known in said.calls):
                said.calls.append(call)
    return said


def _value(sent: Raw) -> Any:
    text = bytes(sent)
    found = decoded(text, MAX_NESTING - PART)
    if found is text:
        raise RecursionError
    return found


def _clean(text: str) -> str:
    return text.replace("\x00", REPLACEMENT)


def said_of(sent: Any) -> Said | None:
    if not isinstance(sent, dict):
        return None
    message = sent if "parts" in sent else unwrapped(sent)
    role = str(message.get("role") or message.get("type") or sent.get("type") or "")
    said = Said(ROLES.get(role, role))
    parts = message.get("parts")
    if parts is None:
        parts = message.get("content")
    call_id = message.get("tool_call_id")
    if said.role == "tool" and isinstance(call_id, str):
        said.results = [Result(call_id, parts)]
        return said
    if isinstance(parts, str):
        said.texts = [parts] if parts else []
    elif isinstance(parts, list):
        for part in parts:
            _add_part(said, part)
    said.thoughts += _strings(message, "reasoning", "reasoning_content")
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else []:
        _add_call(said, call)
    return said


def _add_part(said: Said, part: Any) -> None:
    if isinstance(part, str):
        said.texts.append(part)
        return
    if not isinstance(part, dict):
        return
    kind = str(part.get("type"))
    if kind in TEXTS:
        said.texts += _strings(part, "content", "text")
    elif kind in THOUGHTS:
        said.thoughts += _strings(part, "content", "text", "thinking", "reasoning")
    elif kind in CALLS:
        _add_call(said, part)
    elif kind in RESULTS:
        call_id = _string(part, "id", "tool_use_id", "toolCallId", "call_id")
        value = next((part[key] for key in ("response", "result", "content", "output") if key in part), None)
        if call_id:
            said.results.append(Result(call_id, _plain(value)))


def _add_call(said: Said, call: Any) -> None:
    if not isinstance(call, dict):
        return
    inner = call.get("function")
    function = inner if isinstance(inner, dict) else call
    name = _string(function, "name", "toolName") or _string(call, "name", "toolName")
    call_id = _string(call, "id", "toolCallId", "tool_call_id", "call_id")
    values = (function.get(key) for key in ("arguments", "input", "args"))
    arguments = next((value for value in values if value is not None), None)
    if name and call_id and all(known.id != call_id for known in said.calls):
        said.calls.append(Call(call_id, name, parsed(arguments)))


def _plain(value: Any) -> Any:
    """Return a result without the wrapping of a single text."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict) and value[0].get("type") == "text":
        return value[0].get("text", value[0].get("content"))
    if isinstance(value, dict) and value.get("type") in ("text", "json") and "value" in value:
        return value["value"]
    return value


def _strings(part: dict[str, Any], *keys: str) -> list[str]:
    found = _string(part, *keys)
    return [found] if found else []


def _string(part: dict[str, Any], *keys: str) -> str:
    for key in keys:
        found = part.get(key)
        if isinstance(found, str) and found:
            return found
    return ""
