"""Where a value stands in the result of a tool: as a value of its own, or within running text. All of it lower case."""

import re
from collections.abc import Iterator
from typing import NamedTuple

BEFORE_CHARS, AFTER_CHARS = 200, 120  # of the text around a value that may belong to it
MAX_PLACES = 5  # of a value in one text that are looked at
SENTENCE_WORDS = 3
TEXT_WORDS = 6  # of a line that is text, not data
_WORD = re.compile(r"[^\W\d_]{3,}")
STEM = 5  # letters by which "article" is known in "articles"
_FIELD = re.compile(r"\A[ \t]*(?:- )?[\w ]{1,30}:(?: (.*))?\Z")
_ITEM = re.compile(r"\A[ \t]*- (.*)\Z")
# A string of a printed structure. A quote within it that was not escaped ends nothing: what follows one is missing.
_ENDS = r"\s{0,9}(?:[,:}\]]|$)"
_QUOTED = re.compile(
    rf"\"((?:[^\"\\]|\\.|\"(?!{_ENDS}))*)\"?|'((?:[^'\\]|\\.|'(?!{_ENDS}))*)'?",
    re.DOTALL,
)
_BREAK = re.compile(r"\n[ \t]{0,99}\n|(?<=[.!?])\s+(?=\S)")
_COLUMNS = "|\t"
_CELL = "|\t\n"  # what parts the cells of a table, or lines
# Words that only hold sentences together: that a request and a result share them says nothing.
_HOLDING = frozenset([
    "about", "above", "after", "again", "all", "also", "and", "any", "are", "because", "been", "before", "being",
    "below", "between", "both", "but", "came", "can", "cannot", "come", "could", "did", "does", "doing", "down",
    "during", "each", "even", "every", "few", "for", "from", "further", "get", "got", "had", "has", "have",
    "having", "her", "here", "hers", "herself", "him", "himself", "his", "how", "into", "its", "itself", "just",
    "kindly", "let", "like", "make", "many", "may", "more", "most", "much", "must", "need", "nor", "not", "now",
    "off", "once", "one", "only", "other", "our", "ours", "out", "over", "own", "per", "please", "put", "same",
    "set", "shall", "she", "should", "some", "such", "than", "that", "the", "their", "them", "then", "there",
    "these", "they", "this", "those", "through", "too", "under", "until", "upon", "use", "very", "via", "want",
    "was", "way", "were", "what", "when", "where", "which", "while", "who", "whom", "whose", "why", "will", "with",
    "would", "yes", "yet", "you", "your", "yours", "yourself",
])  # fmt: skip


class Mention(NamedTuple):
    """A value within running text."""

    near: str  # its sentence, without the value
    before: str  # what leads up to it, the value and a little more included


def words(text: str) -> set[str]:
    """Return the words of three letters or more that say what a text is about."""
    return set(_WORD.findall(text)) - _HOLDING


def stems(text: str) -> set[str]:
    return {word[:STEM] for word in words(text)}


def without_addresses(text: str) -> str:
    return " ".join(word for word in text.split() if "@" not in word and "www." not in word and "://" not in word)


def place_of(value: str, text: str, start: int = 0) -> int:
    """Return where a value stands in a text as a word or words of its own; -1 for nowhere."""
    place = text.find(value, start)
    while place >= 0:
        end = place + len(value)
        is_glued = (value[0].isalnum() and text[place - 1 : place].isalnum()) or (
            value[-1].isalnum() and text[end : end + 1].isalnum()
        )
        if not is_glued:
            return place
        place = text.find(value, place + 1)
    return -1


def mention_of(value: str, result: str) -> tuple[Mention | None, bool]:
    """Return how a value is mentioned in the running text of a result, and whether it also stands there as data.

    Data is the whole of a field, of an item in a list, of a line or of a cell.
    """
    found, is_data = None, False
    for field in _fields(result):
        place = place_of(value, field)
        for _ in range(MAX_PLACES):
            if place < 0:
                break
            mention = _mention_at(field, place, value)
            found, is_data = found or mention, is_data or mention is None
            place = place_of(value, field, place + len(value))
    return found, is_data


def row_of(value: str, result: str) -> tuple[Mention | None, bool]:
    """Return the row of a table in which a value is a cell, and whether running text stands around that table.

    No row is returned for a value that stands in none, or alone in it.
    """
    place = place_of(value, result)
    if place < 0:
        return None, False
    start, end = result.rfind("\n", 0, place) + 1, result.find("\n", place)
    row = result[start : end if end >= 0 else len(result)]
    if not _is_row(row):
        return None, False
    near = row.replace(value, " ")
    if not _WORD.search(without_addresses(near)):
        return None, False
    is_within_text = any(len(line.split()) >= TEXT_WORDS and not _is_row(line) for line in result.split("\n"))
    return Mention(near, near), is_within_text


def _is_row(line: str) -> bool:
    return any(sign in line for sign in _COLUMNS)


def _mention_at(field: str, place: int, value: str) -> Mention | None:
    end = place + len(value)
    if _is_cell(field, place, end) and not _is_introduced(field, place, end):
        return None
    near = _sentence(field, place, end).replace(value, " ")
    if not _WORD.search(without_addresses(near)):
        return None
    return Mention(near, field[max(0, place - BEFORE_CHARS) : end + 40])


def _is_cell(field: str, start: int, end: int) -> bool:
    left, right = field[:start].rstrip(" \"'-*")[-1:], field[end:].lstrip(" \"'.;")[:1]
    return (not left or left in _CELL) and (not right or right in _CELL)


def _is_introduced(field: str, start: int, end: int) -> bool:
    """Whether a line of its own ends the sentence before it ("Please pay this one:"), and begins no list."""
    before, after = field[:start].rstrip(" \"'-*"), field[end:].partition("\n")[2]
    line = before[:-1].rpartition("\n")[2] if before.endswith("\n") else ""
    return line.rstrip().endswith(":") and len(line.split()) >= SENTENCE_WORDS and not after.partition("\n")[0].strip()


def _sentence(field: str, start: int, end: int) -> str:
    first = max(0, start - BEFORE_CHARS)
    for found in _BREAK.finditer(field, first, start):
        first = found.end()
    found_after = _BREAK.search(field, end, end + AFTER_CHARS)
    return field[first : found_after.start() if found_after else end + AFTER_CHARS]


def _fields(result: str) -> Iterator[str]:
    """Yield the texts in a result: the strings of a printed structure, the values of records, or the whole."""
    text = result.strip()
    text = text.strip("<>") if text.startswith("<<") else text
    if text[:2] in ('"{', '"['):  # JSON within JSON
        text = text[1:].removesuffix('"').replace('\\"', '"')
    if text[:1] in ("{", "["):
        for found in _QUOTED.finditer(text):
            yield (found[1] or found[2] or "").replace("\\n", "\n")
        return
    lines = text.split("\n")
    if _FIELD.match(lines[0]) or _ITEM.match(lines[0]):
        yield from _records(lines)
    else:
        yield text


def _records(lines: list[str]) -> Iterator[str]:
    """Yield the values of `key: value` and `- item` lines; a quoted one goes on to its closing quote."""
    value: list[str] = []
    quote = ""
    for line in lines:
        if quote:
            value.append(line.strip())
            ends = line.rstrip()
            if ends.endswith(quote) and not ends.endswith(quote * 2):
                yield "\n".join(value)
                value, quote = [], ""
            continue
        found = _FIELD.match(line) or _ITEM.match(line)
        if not found:
            value.append(line.strip())
            continue
        if value:
            yield "\n".join(value)
        start = (found[1] or "").strip()
        value = [start]
        if start[:1] in ("'", '"') and not (len(start) > 1 and start.endswith(start[0])):
            quote = start[0]
    if value:
        yield "\n".join(value)
