"""The attributes of a span as they are stored: without what its row holds elsewhere, which reading puts back.

An instrumentation sends an answer, a result or a list of tools within an attribute, mostly as JSON within JSON, and the
row of its span holds that text in a column. Where an attribute contains it, letter for letter in one of FORMS, a
reference is stored: {"agentops.parts": ["what is before", ["text", "json"], "what is after"]}. This halves the row.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

ASKED = "agentops.asked"  # of a model step's attributes: a list of what people said in its request
PARTS = "agentops.parts"
TOOLS = "tools"  # the text that a span's toolset was read from, stored with that
SHORTEST = 128  # characters of a text to which a reference is worth its own length
START = 32  # characters by which a text is looked for: `in` prepares itself for all of them, at ten times the cost
TRIES = 4  # places where those stand and the text does not
FAR = 16  # so much longer than a text may an attribute be in which it is looked for; with more, little is saved

NESTING = frozenset({dict, list})
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
    """Return the attributes as they are stored in a row that holds these texts; themselves, where all are short."""
    long = [
        key
        for key, value in attributes.items()
        if key != ASKED and (len(value) >= SHORTEST if type(value) is str else type(value) in NESTING)
    ]
    if not long:
        return attributes
    held = [text for text in (*texts, *_asked(attributes)) if len(text[1]) >= SHORTEST]
    return attributes | {key: _abridged(attributes[key], held) for key in long}


def restored(kept: Attributes, text_of: Callable[[str], str]) -> Attributes:
    """Return the attributes as they were sent; `text_of` returns a text of the row by its name."""
    asked = {name: value for name, value, _ in _asked(kept)}

    def text(name: str) -> str:
        return asked[name] if name in asked else text_of(name)

    return {key: value if key == ASKED else _restored(value, text) for key, value in kept.items()}


def _asked(attributes: Attributes) -> Iterator[Text]:
    found = attributes.get(ASKED)
    for place, one in enumerate(found if type(found) is list else ()):
        if type(one) is str:
            yield f"asked {place}", one, False


def _abridged(value: Any, texts: list[Text]) -> Any:
    if type(value) is str:
        return _of_text(value, texts) if len(value) >= SHORTEST else value
    if type(value) is list:
        return [_abridged(item, texts) for item in value]
    if type(value) is dict:
        made = {key: _abridged(item, texts) for key, item in value.items()}
        return {PARTS: [made]} if made.keys() == {PARTS} else made  # a sender's own, which is no reference
    return value


def _of_text(sent: str, texts: list[Text]) -> Any:
    size = len(sent)
    parts: list[Any] = [sent]
    for text in texts:
        name, value, is_json = text
        length = len(value)
        if length > size or size > FAR * length:
            continue
        if sent == value:
            return {PARTS: [[name]]}
        if is_json and sent[0] == value[0] and sent[-1] == value[-1]:
            for form in ("spaced",) if value.isascii() else ("spaced ascii", "spaced"):
                if FORMS[form](value) == sent:
                    return {PARTS: [[name, form]]}
        if name != TOOLS:
            parts = [new for part in parts for new in _split(part, text)]
    return {PARTS: parts} if len(parts) > 1 else sent


def _split(part: Any, text: Text) -> list[Any]:
    """Return what is before a text, a reference to it, and so on; the part itself, where the text is not in it."""
    name, value, _ = text
    if type(part) is not str or len(part) < len(value):
        return [part]
    if (place := _place(part, value, 0)) >= 0:
        return _parts(part, [name], value, place)
    for form in ("json",) if value.isascii() else ("json", "ascii"):
        written = FORMS[form](value)
        if written != value and (place := _place(part, written, 0)) >= 0:
            return _parts(part, [name, form], written, place)
    return [part]


def _parts(part: str, reference: list[str], written: str, place: int) -> list[Any]:
    found: list[Any] = []
    end = 0
    while place >= 0:
        if place > end:
            found.append(part[end:place])
        found.append(reference)
        end = place + len(written)
        place = _place(part, written, end)
    if end < len(part):
        found.append(part[end:])
    return found


def _place(sent: str, written: str, since: int) -> int:
    """Return where a text stands; -1 if it does not, or what begins like it stands before it again and again."""
    if len(written) > len(sent) - since:
        return -1
    start = written[:START]
    place = sent.find(start, since)
    for _ in range(TRIES):
        if place < 0 or sent.startswith(written, place):
            return place
        place = sent.find(start, place + 1)
    return -1


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
