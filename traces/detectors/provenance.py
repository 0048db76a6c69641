"""Where the identifiers in a call come from, a person, a result or nowhere, within bounded memory."""

import re
import string
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any
from zlib import crc32

import msgspec

from traces.detectors.base import Mutable, Step

OPEN = frozenset({"patternProperties", "allOf", "anyOf", "oneOf", "$ref"})  # says more
CHANGES = {"medium", "high"}  # known to change something; a tool of unknown risk accuses nobody
SHORTEST = 3  # characters of a word that is kept
LEAST_DIGITS, LEAST_LETTERS = 6, 4  # of a word that tells one thing from others
LONGEST_VALUE = 100  # characters; a longer one is text, not an identifier
MOST_LEAVES = 300  # of the arguments of one call
MOST_SHAPES = 150
LONGEST_SHAPE = 24
TEXT_CHARS = 20_000  # of one text that are read
TAIL_CHARS = 80  # where the mark of a cut text stands

_WORD = re.compile(r"[^\W_]{3,}")  # SHORTEST characters or more
_MAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w.-]{1,120}\w")
_FROM_DIGIT = re.compile(r"\d[^\W_]*")
_LETTERS = re.compile(r"[^\W\d_]+")
_ID_KEY = re.compile(r"(?:^|[\W_])(?:id|ids)$|[a-z](?:Id|Ids|ID|IDs)$")
_DATE = re.compile(r"(?:19|20)\d\d[-/.]?[01]\d[-/.]?[0-3]\d(?:[T ]?[\d:.]+)?(?:Z|[+-]\d\d:?\d\d)?$")
_UUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}")
_CLOCK = re.compile(r"1\d{9}(?:\d{3})?")  # seconds or milliseconds of Unix time
_MEASURE = re.compile(r"\d{1,12}[^\W\d_]{1,20}|[^\W\d_]{1,20}\d{1,3}|\d{1,6}x\d{1,6}|[a-z]{0,2}(?:19|20)\d\d[a-z]?\d?")
_CUT = re.compile(r"(?:\.\.\.|…)\s?[\[(<]\w{0,12}(?:cut|trunc)")
_RESERVED = re.compile(r"[@.](?:example|invalid|test|localhost)(?:\.(?:com|net|org))?$")  # RFC 2606: nobody's
_SEPARATORS = str.maketrans("", "", string.digits + ".,:/%$€£+-")
_SHAPE = str.maketrans(string.ascii_lowercase + string.digits, "a" * 26 + "9" * 10)
_ASCENDING = "1234567890"


class Identifier(msgspec.Struct, frozen=True):
    """A value in the arguments of a call that names one thing, with the words of it that tell it from others."""

    key: str
    value: str
    words: tuple[str, ...]
    is_placeholder: bool = False  # a description in place of an id: {"order_id": "latest_order_id"}

    @property
    def looks_made_up(self) -> bool:
        """Say whether it is of the kind that is written where the right one is not known."""
        return self.is_placeholder or any(map(_is_made_up, self.words))


class Names(Mutable):
    """Every word that was ever named, in Bloom filters that double: at most 15 kB, for some 8,000 words.

    A collision makes a word count as named that was not: one in two hundred, and one in seven at 30,000 words. So it
    can hide something, but accuses nobody wrongly.
    """

    filters: list[bytearray] = []
    room: int = 0  # words that the last filter still takes

    def __contains__(self, word: str) -> bool:
        return _is_held(self.filters, _number(word))

    def add(self, word: str) -> None:
        self.add_all((_number(word),))

    def add_all(self, numbers: Iterable[int]) -> None:
        filters, room = self.filters, self.room
        for number in numbers:
            if _is_held(filters, number):
                continue
            if not room and len(filters) < FILTERS:
                size = FIRST_BYTES << len(filters)
                filters.append(bytearray(size))
                room = size * 8 // BITS_A_WORD
            bits = filters[-1]
            last = len(bits) * 8 - 1
            for place in (number & last, (number * _SECOND >> 13) & last, (number * _THIRD >> 17) & last):
                bits[place >> 3] |= 1 << (place & 7)
            room -= room > 0
        self.room = room


def _is_held(filters: list[bytearray], number: int) -> bool:
    for bits in filters:
        last = len(bits) * 8 - 1  # sizes are powers of two
        if not bits[(number & last) >> 3] >> (number & 7) & 1:
            continue
        second, third = (number * _SECOND >> 13) & last, (number * _THIRD >> 17) & last
        if bits[second >> 3] >> (second & 7) & bits[third >> 3] >> (third & 7) & 1:
            return True
    return False


FILTERS, FIRST_BYTES, BITS_A_WORD = 4, 1_024, 16
_SECOND, _THIRD = 2_654_435_761, 2_246_822_519  # make further places of one number


class Sources(Mutable):
    """What people and results have named so far in one trace."""

    names: Names = msgspec.field(default_factory=Names)
    shapes: list[str] = []  # of the words that were named, as long as no person's words are recorded
    cut_shapes: list[str] = []  # of those in texts that were cut: others like them may have stood in the rest
    is_heard: bool = False  # a person's words are recorded
    is_blind: bool = False  # a lookup came without its result: anything may have stood there

    def learn(self, step: Step) -> None:
        """Take in what a step makes known: a person's words, a result with what it answers, what a model was given."""
        if step.event_type == "human_gate":
            self.is_heard = self.is_heard or (step.is_user_turn and bool(step.text))
            self._read(step.text)
        elif step.event_type == "tool_call":
            is_lookup = step.risk not in CHANGES and not step.is_error
            self.is_blind = self.is_blind or (is_lookup and step.result is None)
            is_answered = self._read(step.result, is_cut=step.is_truncated)
            if is_lookup and is_answered:
                self.names.add_all([_number(word) for one in identifiers(step.arguments) for word in one.words])
        elif step.arguments is not None:
            self.is_heard = True
            self._read(msgspec.json.encode(step.arguments).decode())

    def _read(self, text: str | None, *, is_cut: bool = False) -> bool:
        """Take in a text; return whether it names anything."""
        if not text:
            return False
        words = words_of(text)
        self.names.add_all(_numbers_of(text))
        if is_cut or _is_cut(text):
            _keep(self.cut_shapes, words)
        if not self.is_heard:
            _keep(self.shapes, words)
        return bool(words)

    def is_nowhere(self, one: Identifier) -> bool:
        """Say whether nobody and nothing had named it, nor can have named it where something is not recorded."""
        unknown = [word for word in one.words if word not in self.names]
        if one.is_placeholder or not unknown:
            return one.is_placeholder
        if self.is_blind or len(self.cut_shapes) >= MOST_SHAPES:
            return one.looks_made_up
        return not any(shape_of(word) in self.cut_shapes for word in unknown)

    def has_alike(self, one: Identifier) -> bool:
        """Say whether results named others of its kind; a short number is of no kind."""
        return any(shape_of(word) in self.shapes for word in one.words if _tells(word))


def identifiers(arguments: Any) -> tuple[Identifier, ...]:
    """Return the values in the arguments of a call that name one thing: ids, codes, addresses.

    Texts, dates, times, amounts, measures and short numbers are none, and neither are UUIDs: one that nobody named
    is no guess at a thing that is there.
    """
    known, found = _LATEST[0]
    if known is not arguments:  # several detectors ask about one call, one after the other
        found = tuple(_identifiers(arguments))
        _LATEST[0] = arguments, found
    return found


_LATEST: list[tuple[Any, tuple[Identifier, ...]]] = [(None, ())]


def _identifiers(arguments: Any) -> Iterator[Identifier]:
    for key, value in _leaves(arguments):
        is_id = _is_id_key(key)
        if isinstance(value, int):
            if is_id and len(str(value)) >= SHORTEST:
                yield Identifier(key, str(value), (str(value),))
            continue
        said = value.strip()
        if not said or len(said) > LONGEST_VALUE:
            continue
        if is_id and "@" not in said and not any(map(str.isdigit, said)):
            if _is_description(said):
                yield Identifier(key, said, (), is_placeholder=True)
            continue
        words = _telling_words(said, is_id=is_id)
        if words:
            yield Identifier(key, said, words)


@lru_cache(maxsize=1_024)  # calls give the same arguments again and again
def _is_id_key(key: str) -> bool:
    return _ID_KEY.search(key) is not None


def unknown_condition(step: Step) -> str:
    """Return a condition of a lookup that its tool does not know, so that the answer is to another question; or ""."""
    schema = step.tool.schema if step.tool else None
    known = schema.get("properties") if schema else None
    if not known or schema is None or schema.get("additionalProperties") or not OPEN.isdisjoint(schema):
        return ""
    if not isinstance(step.arguments, dict):
        return ""
    given = (str(key) for key, value in step.arguments.items() if key not in known and value not in (None, ""))
    return next(given, "")


@lru_cache(maxsize=64)  # several detectors read the same result one after the other
def words_of(text: str) -> tuple[str, ...]:
    """Return the words of a text that could be identifiers, in lower case: those with a digit, and addresses."""
    low = text[:TEXT_CHARS].lower()
    if "\\" in low:
        low = low.replace("\\n", " ").replace("\\r", " ").replace("\\t", " ")
    words = list(_around_digits(low)) if low.isascii() else [word for word in _WORD.findall(low) if not word.isalpha()]
    if "@" in low:
        words += _MAIL.findall(low)
    return tuple(dict.fromkeys(words))


def _around_digits(text: str) -> Iterator[str]:
    """Yield the words with a digit in an ASCII text; the many others, which tell nothing, are not looked at."""
    for found in _FROM_DIGIT.finditer(text):
        start, end = found.span()
        while start and text[start - 1].isalnum():
            start -= 1
        if end - start >= SHORTEST:
            yield text[start:end]


@lru_cache(maxsize=64)
def _numbers_of(text: str) -> tuple[int, ...]:
    return tuple(map(_number, words_of(text)))


def shape_of(word: str) -> str:
    """Return what identifiers of one kind have in common: the domain of an address, else where its digits are."""
    domain = word.rpartition("@")[2] if "@" in word else None
    return domain[:LONGEST_SHAPE] if domain else word[:LONGEST_SHAPE].translate(_SHAPE)


def _keep(shapes: list[str], words: Iterable[str]) -> None:
    """Add the shapes of words, in their order, as long as there is room."""
    fresh = dict.fromkeys(map(shape_of, words)).keys() - set(shapes)
    shapes.extend(sorted(fresh)[: MOST_SHAPES - len(shapes)])


def _telling_words(said: str, *, is_id: bool) -> tuple[str, ...]:
    low = said.lower()
    if "@" in low:
        return (low,) if _MAIL.fullmatch(low) else ()
    if any(map(str.isspace, low)) or _UUID.fullmatch(low) or (not is_id and (_DATE.match(said) or _is_amount(low))):
        return ()
    words = [word for word in _WORD.findall(low) if not word.isalpha()]
    return tuple(word for word in words if is_id or _tells(word))


def _is_description(said: str) -> bool:
    """Say whether a value without a digit describes the thing that it should name, as last_order_id does."""
    return bool({"id", "ids"} & set(_LETTERS.findall(said.lower())))


def _tells(word: str) -> bool:
    """Say whether a word tells one thing from others wherever it stands: W448812, but not 2024, 500ms or sha256."""
    if word.isdigit():
        return len(word) >= LEAST_DIGITS and not _CLOCK.fullmatch(word) and not _DATE.match(word)
    return len(word) >= LEAST_LETTERS and not _MEASURE.fullmatch(word)


def _is_amount(low: str) -> bool:
    return not low.isdigit() and not low.translate(_SEPARATORS)


def _is_made_up(word: str) -> bool:
    if "@" in word:
        return bool(_RESERVED.search(word))
    if not word.isdigit() or len(word) <= SHORTEST:
        return False
    return len(word.lstrip("0")) <= 1 or len(set(word)) == 1 or (len(word) > SHORTEST + 2 and word in _ASCENDING)


def _is_cut(text: str) -> bool:
    return len(text) >= TEXT_CHARS or bool(_CUT.search(text[-TAIL_CHARS:]))


def _number(word: str) -> int:
    return crc32(word.encode(errors="replace"))


def _leaves(arguments: Any) -> Iterator[tuple[str, str | int]]:
    """Yield texts and whole numbers with the key they stand under, in their order."""
    waiting: list[tuple[str, Any]] = [("", arguments)]
    left = MOST_LEAVES
    while waiting and left:
        key, value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend((str(name), part) for name, part in reversed(value.items()))
        elif isinstance(value, list):
            waiting.extend((key, part) for part in reversed(value))
        elif isinstance(value, str | int) and not isinstance(value, bool):
            left -= 1
            yield key, value
