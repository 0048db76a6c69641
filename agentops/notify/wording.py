"""Text from outside, as it leaves for programs that are not ours: nothing hidden, no link, not longer than they take.

What a trace says may be written to be clicked, or to look like words of ours. Each channel escapes the markup of its
own receiver; here is what is the same for all.
"""

import re
from collections.abc import Callable
from functools import cache

from agentops.web.codepoints import hidden_class

# Clients make links of addresses and of bare names of hosts, and some take other full stops for dots.
_SCHEME = re.compile(r":(?=//)")
_DOT = re.compile(r"(?<=\w)[.\u3002\uff0e\uff61](?=[^\W\d_]{2})")


def revealed(text: str) -> str:
    """Return the text with each hidden character by its number, `[U+202E]`."""
    return text if text.isascii() else _hidden().sub(lambda match: f"[U+{ord(match[0]):04X}]", text)


def unlinked(text: str) -> str:
    """Return the text so that clients that cannot be told to make no link make none: `https[:]//evil[.]example`."""
    return _DOT.sub("[.]", _SCHEME.sub("[:]", revealed(text)))


def as_is(text: str) -> str:
    return text


def fitted(text: str, limit: int, escape: Callable[[str], str] = as_is) -> str:
    """Return the escaped text in at most `limit` UTF-16 units, with an ellipsis where it was cut; never half an escape.

    `escape` must work character by character.
    """
    escaped = escape(text)
    if _units(escaped) <= limit:
        return escaped
    kept, room = [], limit - 1
    for char in text:
        piece = escape(char)
        room -= _units(piece)
        if room < 0:
            break
        kept.append(piece)
    return "".join(kept) + "…"


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


@cache
def _hidden() -> re.Pattern[str]:
    return re.compile(f"[{hidden_class(astral=True)}]")
