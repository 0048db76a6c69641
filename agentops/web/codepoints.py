"""Which characters cannot be seen, and which letters pass for Latin ones: the tables behind hostile.py."""

import re
import unicodedata
from collections.abc import Callable
from functools import cache

# Invisible although Unicode calls them letters, marks or symbols: grapheme joiner, Hangul fillers, Khmer inherent
# vowels, Mongolian selectors, blank Braille, variation selectors.
INVISIBLE_EXTRAS = [
    (0x34F, 0x34F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x2800, 0x2800), (0x3164, 0x3164),
    (0xFFA0, 0xFFA0), (0xFE00, 0xFE0F), (0xE0100, 0xE01EF),
]  # fmt: skip
_HIDDEN_CATEGORIES = {"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"}
# Beyond the third plane everything but the variation selectors is unassigned, private or a tag: no need to ask.
_LAST_ASSIGNED = 0x3FFFF
_FIRST_PLANE = 0xFFFF

# Cyrillic, Greek, fullwidth and mathematical letters drawn like Latin ones (Unicode UTS #39, the common part).
LOOKALIKES = (
    "АВЕЅІЈКМНОРСТУХԌԚԜһаеѕіјкорсуԁԛԝхүґвΑΒΕΖΗΙΚΜΝΟΡΤΥΧαγικνορυχϲϳ\uff21-\uff3a\uff41-\uff5a\U0001d400-\U0001d6a5"
)
# A word as a reader sees it: hyphens and dots end it, underscores and digits do not.
WORD = re.compile(r"\w+")
LOOKALIKE = re.compile(f"[{LOOKALIKES}]")
LATIN = re.compile("[A-Za-z\u00c0-\u024f]")

NAMES = {
    0x00: "NULL", 0x07: "BELL", 0x08: "BACKSPACE", 0x0B: "LINE TABULATION", 0x0C: "FORM FEED",
    0x0D: "CARRIAGE RETURN", 0x1B: "ESCAPE", 0x7F: "DELETE", 0x85: "NEXT LINE", 0x9B: "CONTROL SEQUENCE INTRODUCER",
}  # fmt: skip


def is_hidden(code: int) -> bool:
    """Say whether the character cannot be seen as itself, or pretends to be a plain space."""
    if code in (0x0A, 0x09):
        return False
    if any(first <= code <= last for first, last in INVISIBLE_EXTRAS):
        return True
    category = unicodedata.category(chr(code))
    return category in _HIDDEN_CATEGORIES or (category == "Zs" and code != 0x20)


def name_of(char: str) -> str:
    """Return what the character is called, in Unicode's words."""
    code = ord(char)
    if name := unicodedata.name(char, "") or NAMES.get(code, ""):
        return name
    kinds = {"Cc": "CONTROL CHARACTER", "Co": "PRIVATE USE", "Cs": "LONE SURROGATE"}
    return kinds.get(unicodedata.category(char), "UNASSIGNED")


@cache
def hidden_class(astral: bool) -> str:
    """Return the hidden characters, beyond the first plane too if `astral`, as the inside of a pattern's brackets."""
    ranges = _runs(is_hidden, _LAST_ASSIGNED if astral else _FIRST_PLANE)
    return _bracketed([*ranges, (_LAST_ASSIGNED + 1, 0x10FFFF)] if astral else ranges)


@cache
def combining_class(astral: bool) -> str:
    """Return the visible combining marks likewise."""
    return _bracketed(_runs(_is_combining, 0x1FFFF if astral else _FIRST_PLANE))


def _is_combining(code: int) -> bool:
    return unicodedata.combining(chr(code)) > 0 and not is_hidden(code)


def _runs(wanted: Callable[[int], bool], last: int) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    start: int | None = None
    for code in range(last + 2):
        inside = code <= last and wanted(code)
        if inside and start is None:
            start = code
        elif not inside and start is not None:
            runs.append((start, code - 1))
            start = None
    return runs


def _bracketed(ranges: list[tuple[int, int]]) -> str:
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)
