"""The attributes of a span as they are stored: without the texts that columns of its row hold, which reading puts back.

Instrumentations send an answer or a result within an attribute, mostly as JSON within JSON, and the row of its span
holds it as well. Where an attribute contains such a text, letter for letter in one of FORMS, a reference is stored:
{"agentops.parts": ["what is before", ["text", "json"], "what is after"]}. Columns in HELD are therefore never changed
once they hold something (ingest/merge.py).
"""

import json
from collections.abc import Callable
from typing import Any

import msgspec

ASKED = "agentops.asked"  # of a model step's attributes: a list of what people said in its request
PARTS = "agentops.parts"
HELD = {"output": True, "text": False, "thinking": False}  # the columns that are looked for, and whether they hold JSON
WHOLE = "agentops.", "otel."  # the keys of ours, which statements read, begin like this
SHORTEST = 128  # characters of a text to which a reference is worth its own length
FAR = 16  # so much longer than a text may an attribute be in which it is looked for; with more, little is saved
START = 32  # characters by which a text is looked for: `in` prepares itself for all of them, at ten times the cost
TRIES = 4  # places where those stand and the text does not

Attributes = dict[str, Any]

_ascii = json.JSONEncoder().encode
# How a text is written where it is found again. What is stored depends on these: a test holds them to `json`'s way.
FORMS: dict[str, Callable[[str], str]] = {
    "json": lambda text: msgspec.json.encode(text)[1:-1].decode(),  # within a JSON string
    "ascii": lambda text: _ascii(text)[1:-1],
    "spaced": lambda text: msgspec.json.format(text, indent=0),  # JSON with spaces, as Python writes it
    "spaced ascii": lambda text: _ascii(msgspec.json.decode(text)),
    "string": msgspec.json.decode,  # what a JSON string says
}


def abridged(attributes: Attributes, row: object = None) -> Attributes:
    """Return the attributes as they are stored in a row that holds such columns; themselves, where nothing is left out.

    Texts within lists and maps stay as they are.
    """
    shorter: Attributes = {}
    held: list[_Held] | None = None
    for key, value in attributes.items():
        if type(value) is str and len(value) >= SHORTEST and not key.startswith(WHOLE):
            if held is None:
                held = _held_by(row)
            if held and (parts := _parts(value, held)) is not None:
                shorter[key] = {PARTS: parts}
        elif type(value) is dict and value.keys() == {PARTS}:
            shorter[key] = {PARTS: value}  # a sender's own, which is no reference
    return attributes | shorter if shorter else attributes


def restored(kept: Attributes, text_of: Callable[[str], str]) -> Attributes:
    """Return the attributes as they were sent; `text_of` returns what a column of the row holds."""
    return {key: _restored(value, text_of) for key, value in kept.items()}


class _Held:
    """A text that a row holds, and its forms, each made when it is first looked for."""

    def __init__(self, name: str, text: str, *, is_json: bool) -> None:
        self.name, self.text, self.is_json, self.size = name, text, is_json, len(text)
        self.within = ("", "json") if text.isascii() else ("", "json", "ascii")
        self._forms = {"": text}

    def form(self, name: str) -> str:
        if name not in self._forms:
            self._forms[name] = FORMS[name](self.text)
        return self._forms[name]

    def whole(self, sent: str) -> list[str] | None:
        """Return the reference to the text where it is all that was sent."""
        if sent == self.text:
            return [self.name]
        if not self.is_json:
            return None
        names: tuple[str, ...] = ()
        if self.text[0] == '"':
            names = ("string",)
        elif sent[0] == self.text[0] and sent[-1] == self.text[-1]:
            names = ("spaced",) if self.text.isascii() else ("spaced ascii", "spaced")
        return next(([self.name, name] for name in names if self.form(name) == sent), None)


def _held_by(row: object) -> list[_Held]:
    texts = ((name, getattr(row, name, None), is_json) for name, is_json in HELD.items())
    return [_Held(name, text, is_json=is_json) for name, text, is_json in texts if text and len(text) >= SHORTEST]


def _parts(sent: str, held: list[_Held]) -> list[Any] | None:
    """Return what a text consists of; None for one in which no other is."""
    size = len(sent)
    parts: list[Any] = [sent]
    for one in held:
        if size > FAR * one.size:
            continue
        if (reference := one.whole(sent)) is not None:
            return [reference]
        if size >= one.size:
            parts = [new for part in parts for new in _split(part, one)]
    return parts if len(parts) > 1 else None


def _split(part: Any, one: _Held) -> list[Any]:
    """Return what is before a text, a reference to it, and what is after it; the part, where it does not hold it."""
    if type(part) is str and len(part) >= one.size:
        for form in one.within:
            written = one.form(form)
            if (place := _place(part, written)) >= 0:
                around = part[:place], [one.name, form] if form else [one.name], part[place + len(written) :]
                return [some for some in around if some]
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
