"""The attributes of a span as they are stored: without what its row holds elsewhere, which reading puts back.

An instrumentation sends an answer, a result or a list of tools within an attribute, mostly as JSON within JSON, and the
row of its span holds that text in a column. Where an attribute contains it, letter for letter in one of FORMS, a
reference is stored: {"agentops.parts": ["what is before", ["text", "json"], "what is after"]}.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

ASKED = "agentops.asked"  # of a model step's attributes: a list of what people said in its request
PARTS = "agentops.parts"
TOOLS = "tools"  # the text that a span's toolset was read from, stored with that
SHORTEST = 128  # characters of a text to which a reference is worth its own length
FAR = 16  # so much longer than a text may an attribute be in which it is looked for; with more, little is saved
START = 32  # characters by which a text is looked for: `in` prepares itself for all of them, at ten times the cost
TRIES = 4  # places where those stand and the text does not

Attributes = dict[str, Any]
Text = tuple[str, str, bool]  # its name, itself, and whether it is JSON; a tuple with names costs thrice as much

_ascii = json.JSONEncoder().encode
# How a text is written where it is found again. What is stored depends on these: a test holds them to `json`'s way.
FORMS: dict[str, Callable[[str], str]] = {
    "json": lambda text: msgspec.json.encode(text)[1:-1].decode(),  # within a JSON string
    "ascii": lambda text: _ascii(text)[1:-1],
    "spaced": lambda text: msgspec.json.format(text, indent=0),  # JSON with spaces, as Python writes it
    "spaced ascii": lambda text: _ascii(msgspec.json.decode(text)),
}


def abridged(attributes: Attributes, texts: Iterable[Text]) -> Attributes:
    """Return the attributes as they are stored in a row that holds these texts; themselves, where all are short.

    Of texts that are within others, as in lists, nothing is left out.
    """
    shorter: Attributes = {}
    held: list[Text] | None = None
    for key, value in attributes.items():
        if type(value) is str and len(value) >= SHORTEST:
            if held is None:
                held = [text for text in texts if len(text[1]) >= SHORTEST]
            if held and (parts := _parts(value, held)) is not None:
                shorter[key] = {PARTS: parts}
        elif type(value) is dict and value.keys() == {PARTS}:
            shorter[key] = {PARTS: value}  # a sender's own, which is no reference
    return attributes | shorter if shorter else attributes


def restored(kept: Attributes, text_of: Callable[[str], str]) -> Attributes:
    """Return the attributes as they were sent; `text_of` returns a text of the row by its name."""
    return {key: _restored(value, text_of) for key, value in kept.items()}


def _parts(sent: str, texts: list[Text]) -> list[Any] | None:
    """Return what a text consists of; None for one in which no other is."""
    size = len(sent)
    parts: list[Any] = [sent]
    for text in texts:
        name, value, is_json = text
        length = len(value)
        if length > size or size > FAR * length:
            continue
        if sent == value:
            return [[name]]
        if is_json and sent[0] == value[0] and sent[-1] == value[-1]:
            for form in ("spaced",) if value.isascii() else ("spaced ascii", "spaced"):
                if FORMS[form](value) == sent:
                    return [[name, form]]
        if name != TOOLS:
            parts = [new for part in parts for new in _split(part, text)]
    return parts if len(parts) > 1 else None


def _split(part: Any, text: Text) -> list[Any]:
    """Return what is before a text, a reference to it, and what is after it; the part, where it does not hold it."""
    name, value, _ = text
    if type(part) is not str or len(part) < len(value):
        return [part]
    for form in ("", "json") if value.isascii() else ("", "json", "ascii"):
        written = FORMS[form](value) if form else value
        if (place := _place(part, written)) >= 0:
            around = part[:place], [name, form] if form else [name], part[place + len(written) :]
            return [one for one in around if one]
    return [part]


def _place(sent: str, written: str) -> int:
    """Return where a text stands; -1 if it does not, or what begins like it stands before it again and again."""
    start = written[:START]
    place = sent.find(start)
    for _ in range(TRIES):
        if place < 0 or sent.startswith(written, place):
            return place
        place = sent.find(start, place + 1)
    return -1


def _restored(value: Any, text_of: Callable[[str], str]) -> Any:
    if type(value) is not dict or value.keys() != {PARTS}:
        return value
    parts = value[PARTS]
    if type(parts) is dict:
        return parts
    return "".join(part if type(part) is str else _written(text_of(part[0]), *part[1:]) for part in parts)


def _written(text: str, form: str = "") -> str:
    return FORMS[form](text) if form else text
