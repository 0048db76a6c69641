"""The attributes of a span as they are stored: without what its row holds elsewhere, which reading puts back.

An instrumentation sends an answer, a result or a list of tools within an attribute, mostly as JSON within JSON, and the
row of its span holds that text in a column. Where an attribute contains it, letter for letter in one of FORMS, a
reference is stored: {"agentops.parts": ["what is before", ["text", "json"], "what is after"]}. This halves the row.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

ASKED = "agentops.asked"  # of a model step's attributes: a list of what people said in its request
PARTS = "agentops.parts"
TOOLS = "tools"  # the text that a span's toolset was read from, stored with that
SHORTEST = 128  # characters of a text to which a reference is worth its own length

Attributes = dict[str, Any]

# How a text is written where it is found again. What is stored depends on it, so it is the standard library's way.
_wide, _ascii = json.JSONEncoder(ensure_ascii=False).encode, json.JSONEncoder().encode
FORMS: dict[str, Callable[[str], str]] = {
    "json": lambda text: _wide(text)[1:-1],  # within a JSON string
    "ascii": lambda text: _ascii(text)[1:-1],
    "spaced": lambda text: _wide(msgspec.json.decode(text)),  # JSON as Python writes it, with spaces
    "spaced ascii": lambda text: _ascii(msgspec.json.decode(text)),
}


class Text(NamedTuple):
    """A text that a row holds beside its attributes, or in ASKED among them."""

    name: str
    value: str
    is_json: bool = False


def abridged(attributes: Attributes, texts: Iterable[Text]) -> Attributes:
    """Return the attributes as they are stored in a row that holds these texts; themselves, where all are short."""
    long = [key for key, value in attributes.items() if _may_hold(value) and key != ASKED]
    if not long:
        return attributes
    looked_for = [_Forms(text) for text in (*texts, *_asked(attributes)) if len(text.value) >= SHORTEST]
    return attributes | {key: _abridged(attributes[key], looked_for) for key in long}


def restored(kept: Attributes, text_of: Callable[[str], str]) -> Attributes:
    """Return the attributes as they were sent; `text_of` returns a text of the row by its name."""
    asked = {text.name: text.value for text in _asked(kept)}

    def text(name: str) -> str:
        return asked[name] if name in asked else text_of(name)

    return {key: value if key == ASKED else _restored(value, text) for key, value in kept.items()}


def _asked(attributes: Attributes) -> Iterator[Text]:
    found = attributes.get(ASKED)
    for place, one in enumerate(found if type(found) is list else ()):
        if type(one) is str:
            yield Text(f"asked {place}", one)


class _Forms:
    """What a text looks like within an attribute, made when it is first looked for."""

    def __init__(self, text: Text) -> None:
        self.text = text
        self._within: list[tuple[list[str], str]] | None = None
        self._whole: list[tuple[list[str], str]] | None = None

    def within(self) -> list[tuple[list[str], str]]:
        """Return references to the text, and what they stand for, as it may stand among others."""
        if self._within is None:
            name, value = self.text.name, self.text.value
            self._within = [([name], value)]
            if (written := FORMS["json"](value)) != value:
                self._within.append(([name, "json"], written))
            if not value.isascii():
                self._within.append(([name, "ascii"], FORMS["ascii"](value)))
        return self._within

    def whole(self, sent: str) -> list[str] | None:
        """Return the reference to the text where it is JSON, and the same JSON was sent with spaces."""
        value = self.text.value
        if not self.text.is_json or len(sent) <= len(value) or sent[0] != value[0] or sent[-1] != value[-1]:
            return None
        if self._whole is None:
            forms = ("spaced ascii",) if value.isascii() else ("spaced ascii", "spaced")
            self._whole = [([self.text.name, form], FORMS[form](value)) for form in forms]
        return next((reference for reference, written in self._whole if written == sent), None)


def _may_hold(value: Any) -> bool:
    return len(value) >= SHORTEST if type(value) is str else type(value) in (dict, list)


def _abridged(value: Any, texts: list[_Forms]) -> Any:
    if type(value) is str:
        return _of_text(value, texts) if len(value) >= SHORTEST else value
    if type(value) is list:
        return [_abridged(item, texts) for item in value]
    if type(value) is dict:
        made = {key: _abridged(item, texts) for key, item in value.items()}
        return {PARTS: [made]} if made.keys() == {PARTS} else made  # a sender's own, which is no reference
    return value


def _of_text(sent: str, texts: list[_Forms]) -> Any:
    parts: list[Any] = [sent]
    for text in texts:
        if (reference := text.whole(sent)) is not None:
            return {PARTS: [reference]}
        for reference, written in text.within():
            if len(written) <= len(sent) and written in sent:
                parts = [new for part in parts for new in _split(part, written, reference)]
    return sent if len(parts) == 1 and parts[0] is sent else {PARTS: parts}


def _split(part: Any, written: str, reference: list[str]) -> Iterator[Any]:
    if type(part) is not str:
        yield part
        return
    for place, literal in enumerate(part.split(written)):
        if place:
            yield reference
        if literal:
            yield literal


def _restored(value: Any, text_of: Callable[[str], str]) -> Any:
    if type(value) is list:
        return [_restored(item, text_of) for item in value]
    if type(value) is not dict:
        return value
    if value.keys() != {PARTS}:
        return {key: _restored(item, text_of) for key, item in value.items()}
    parts = value[PARTS]
    if type(parts[0]) is dict:
        return {key: _restored(item, text_of) for key, item in parts[0].items()}
    return "".join(part if type(part) is str else _written(text_of(part[0]), *part[1:]) for part in parts)


def _written(text: str, form: str = "") -> str:
    return FORMS[form](text) if form else text
