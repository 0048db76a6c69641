"""The words of a text, and what a person looks for: words, beginnings of words, phrases.

A word is a run of letters and digits in small letters; in writing without spaces it is one character, so that a run
of them is looked for as a phrase.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

MAX_WORDS = 10  # in one query
SHORTEST_PREFIX = 2  # a shorter one is the beginning of a good part of all words
LONGEST = 48  # characters kept of a word; of others than ASCII, which take up to four bytes, half as many

# Thai and Lao, Burmese, Khmer, Japanese, Chinese, Korean.
_CLOSE = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_SIGN_TO_BLANK = bytes(ord(chr(code).lower()) if chr(code).isalnum() else ord(" ") for code in range(128)) + bytes(128)
_WORD = re.compile(f"[^\\W_{_CLOSE}]+|[{_CLOSE}]")
_IS_CLOSE = re.compile(f"[{_CLOSE}]")
_CHUNK = re.compile(r'"([^"]*)"|([^\s"]+)')

# Of the expressions that find a term in a text, in Python and in Postgres alike. Bodies are JSON: a line end stands
# there as a backslash and a letter, which is no letter of the word behind it.
_ESCAPE = r"\\u[0-9a-f]{4}|\\[bfnrt]"
_BETWEEN = rf"(?:{_ESCAPE}|[\W_])"
_BEFORE = rf"(?:^|{_ESCAPE}|[\W_])"
_AFTER = r"(?=$|[\W_])"


class QueryError(ValueError):
    """Raised for a text that nothing can be looked for by; says what would be right."""


class Term(NamedTuple):
    """Words that follow each other; of the last one maybe only the beginning."""

    words: tuple[str, ...]
    is_prefix: bool = False

    @property
    def is_phrase(self) -> bool:
        return len(self.words) > 1

    @property
    def tsquery(self) -> str:
        """Return it for a cast to tsquery, without the order. No character of a word means anything there."""
        return " & ".join(self.words) + (":*" if self.is_prefix else "")

    @property
    def expression(self) -> str:
        """Return the regular expression that finds it in a text; its first group is what was found."""
        parts = [self.words[0]]
        for before, word in zip(self.words, self.words[1:], strict=False):
            parts += [_BETWEEN, "*" if is_close(before) or is_close(word) else "+", word]
        last = self.words[-1]
        is_open = self.is_prefix or is_close(last) or len(last) == longest(last)
        return f"{'' if is_close(self.words[0]) else _BEFORE}({''.join(parts)}){'' if is_open else _AFTER}"


def is_close(word: str) -> bool:
    """Say whether it is written without spaces around it."""
    return _IS_CLOSE.match(word) is not None


def longest(word: str) -> int:
    """Return how many characters of it are kept."""
    return LONGEST if word.isascii() else LONGEST // 2


def kept(word: str) -> str:
    return word[: longest(word)]


def words_of(text: str) -> list[str]:
    """Return the words of a text in their order, as often as they come."""
    if text.isascii():  # three times as fast
        return text.encode().translate(_SIGN_TO_BLANK).decode().split()
    return _WORD.findall(text.lower())


def kept_words(words: set[str]) -> set[str]:
    """Return the words as they are kept."""
    long = {word for word in words if len(word) > LONGEST // 2}
    return (words - long).union(map(kept, long))


def plain_text(json_text: str) -> str:
    """Return the text of a JSON body with what its escapes stand for."""
    if "\\" not in json_text:
        return json_text
    return " ".join(_texts(msgspec.json.decode(json_text)))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    else:
        yield value if isinstance(value, str) else msgspec.json.encode(value).decode()


def read_query(text: str) -> list[Term]:
    """Return the terms of `refund "not delivered" order*`, all of which a trace must have. Raises QueryError."""
    if text.count('"') % 2:
        raise QueryError('A phrase has no closing quote: write "two words".')
    terms = [term for match in _CHUNK.finditer(text) if (term := _term(match[1] or match[2] or ""))]
    if not terms:
        raise QueryError("There is no word in it: look for letters or digits.")
    if sum(len(term.words) for term in terms) > MAX_WORDS:
        raise QueryError(f"These are more than {MAX_WORDS} words: leave some out.")
    return terms


def _term(chunk: str) -> Term | None:
    words = tuple(kept(word) for word in words_of(chunk))
    is_prefix = chunk.rstrip().endswith("*")
    if is_prefix and words and words[-1].isascii() and len(words[-1]) < SHORTEST_PREFIX:
        raise QueryError(f"A beginning has at least {SHORTEST_PREFIX} characters before its *.")
    return Term(words, is_prefix) if words else None
