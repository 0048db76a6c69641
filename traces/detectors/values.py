"""The values in a call's arguments: what they look like, and which of them tell whom or what the call is about."""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

VALUE_CHARS, VALUE_WORDS = 120, 12  # what is longer is content
NAME_CHARS = 3  # what is shorter stands in any text
FORM_CHARS = 120

_MAIL = re.compile(r"\A[\w.+-]+@[\w-]+(?:\.[\w-]+)+\Z")
_WEB = re.compile(r"\A(?:www\.\S+|[\w-]+(?:\.[\w-]+)+/\S*)\Z")
_CODE = re.compile(r"\A(?:(?=\D*\d)[\w-]{8,}|\d{5,})\Z")
_DATE = re.compile(r"\A(?:\d{1,4}[-/.]\d\d?[-/.]\d{1,4}(?:[t ]\d.*)?|\d\d?:\d\d(?::\d\d)?\b.{0,10})\Z")
_LETTER = re.compile(r"[^\W\d_]")
_LETTERS = re.compile(r"[^\W\d_]+")
_DIGITS = re.compile(r"\d+")


def values_in(arguments: Any) -> Iterator[str]:
    """Yield the scalars in arguments as a text would have them: lower case, addresses without their scheme."""
    waiting = [arguments]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            waiting.extend(reversed(part.values()))
        elif isinstance(part, list):
            waiting.extend(reversed(part))
        elif part is not None and not isinstance(part, bool):
            value = _without_scheme(str(part).strip().lower()).rstrip("/.,;!")
            if value:
                yield value


@lru_cache(maxsize=4_096)  # of one value it is asked several times
def form_of(value: str) -> str:
    """Return what a value is by its form: "mail", "web", a code's pattern of letters and digits, or "" for a word."""
    if len(value) > FORM_CHARS:
        return ""
    if _MAIL.match(value):
        return "mail"
    if _WEB.match(value):
        return "web"
    if _CODE.match(value) and not _DATE.match(value):
        return _LETTERS.sub("a", _DIGITS.sub("0", value))
    return ""


def forms_in(text: str, besides: Iterable[str]) -> set[str]:
    """Return the forms of the values in a text, but for those that are left out, with all of their web site."""
    left_out = {_site(value) for value in besides}
    found = (_without_scheme(word.strip("'\"().,;!?<>[]")) for word in text.split())
    return {form_of(word) for word in found if _site(word) not in left_out}


def is_name(value: str) -> bool:
    return len(value) >= NAME_CHARS and _LETTER.search(value) is not None


def is_short(value: str) -> bool:
    return len(value) <= VALUE_CHARS and value.count(" ") < VALUE_WORDS


def is_path(value: str) -> bool:
    """Whether a value is the path of a file, which tools print all the time."""
    return ("/" in value or "\\" in value) and " " not in value and form_of(value) != "web"


def is_date(value: str) -> bool:
    return _DATE.match(value) is not None


def _site(value: str) -> str:
    return value.partition("/")[0]


def _without_scheme(value: str) -> str:
    return value.removeprefix("https://").removeprefix("http://")
