"""JSON from traces laid out for reading, by its tokens: no parsing, so depth, duplicate keys and huge numbers stay."""

import re
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from django.utils.safestring import SafeString

from agentops.web.hostile import BLOCK_LIMIT, Revealed, reveal

FLAT_WIDTH = 72  # an object or list that fits in this many characters stays on one line
MAX_INDENT = 24  # deeper levels are drawn at this depth: 100,000 brackets must not make a page of spaces
_TOKEN = re.compile(
    r'[ \t\r\n]*("(?:[^"\\\x00-\x1f]|\\.)*"|[{}\[\],:]|-?[0-9][-+.0-9Ee]*|true|false|null|NaN|-?Infinity)'
)
_TAIL = re.compile(r"[ \t\r\n]*")
_ESCAPED_LETTER = re.compile(r"(?<!\\)((?:\\\\)*)\\u(?!d[89a-f])([0-9a-f]{4})", re.IGNORECASE)
_CLOSES = {"}": "{", "]": "["}
_OPENS = {"{", "["}
_SPACED = {",", ":"}
_BEFORE_VALUE = {"{", "[", ",", ":"}
_AFTER_VALUE = {"}", "]", ",", ":"}


@dataclass
class Container:
    """One object or list: where it starts and ends among the tokens, and how wide it is on one line."""

    start: int
    end: int = 0
    width: int = 0


def reveal_json(text: str, limit: int = BLOCK_LIMIT) -> Revealed:
    """Return JSON as safe HTML, indented, keys quiet; anything that is not JSON, or was cut, as the text it is."""
    tokens = _tokens(text) if len(text) <= limit else None
    flat = _containers(tokens) if tokens else None
    if not tokens or flat is None:
        return reveal(text, limit)
    html: list[str] = []
    chips = 0
    for is_key, pieces in groupby(_laid_out(tokens, flat), key=itemgetter(1)):
        shown = reveal("".join(piece for piece, _ in pieces))
        chips += shown.chips
        html.append(f'<span class="key">{shown.html}</span>' if is_key else shown.html)
    return Revealed(SafeString("".join(html)), chips, len(text), len(text))


def _tokens(text: str) -> list[str] | None:
    """Return the tokens, or None where the text is no JSON: anything between them, or left behind them."""
    tokens: list[str] = []
    end = 0
    while match := _TOKEN.match(text, end):
        part = match[1]
        tokens.append(_readable(part) if part[0] == '"' else part)
        end = match.end()
    tail = _TAIL.match(text, end)
    return tokens if tail and tail.end() == len(text) else None


def _readable(string: str) -> str:
    r"""Show letters that were written as \u00e9; plain and hidden ASCII ones keep their escapes."""
    if "\\u" not in string:
        return string
    return _ESCAPED_LETTER.sub(lambda m: m[1] + _letter(m[2]), string)


def _letter(code: str) -> str:
    return chr(int(code, 16)) if int(code, 16) > 0x9F else f"\\u{code}"


def _containers(tokens: list[str]) -> dict[int, Container] | None:
    """Return each object and list by its first part, or None where this is no object or list, closed as it opened."""
    if tokens[0] not in _OPENS or _touching(tokens):
        return None
    found: dict[int, Container] = {}
    open_: list[Container] = []
    widths = [0]
    for i, part in enumerate(tokens):
        widths.append(widths[-1] + len(part) + (part in _SPACED))
        if part in _OPENS:
            found[i] = Container(i)
            open_.append(found[i])
        elif part in _CLOSES:
            if not open_ or tokens[open_[-1].start] != _CLOSES[part]:
                return None
            last = open_.pop()
            last.end, last.width = i, widths[i + 1] - widths[last.start]
    return found if found[0].end == len(tokens) - 1 else None


def _touching(tokens: list[str]) -> bool:
    """Say whether two values stand side by side: then this is a sentence, or several documents, but no JSON."""
    ends = [part not in _BEFORE_VALUE for part in tokens]
    starts = [part not in _AFTER_VALUE for part in tokens]
    return any(end and start for end, start in zip(ends, starts[1:], strict=False))


def _laid_out(tokens: list[str], containers: dict[int, Container]) -> list[tuple[str, bool]]:
    """Return pieces of text with line breaks and indentation, and whether each is a key."""
    pieces: list[tuple[str, bool]] = []
    depth = 0
    flat_until = -1
    for i, part in enumerate(tokens):
        following = tokens[i + 1] if i + 1 < len(tokens) else ""
        if part in _OPENS:
            if i > flat_until and containers[i].width <= FLAT_WIDTH:
                flat_until = containers[i].end
            depth += i > flat_until
            pieces.append((part + (_line(depth) if i > flat_until else ""), False))
        elif part in _CLOSES:
            depth -= i > flat_until
            pieces.append(((_line(depth) if i > flat_until else "") + part, False))
        elif part == ",":
            pieces.append((", " if i < flat_until else f",{_line(depth)}", False))
        else:
            pieces.append((": " if part == ":" else part, part[0] == '"' and following == ":"))
    return pieces


def _line(depth: int) -> str:
    return "\n" + "  " * min(depth, MAX_INDENT)
