"""Which names say that what stands under them is secret, and what a value must look like to be believed."""

import re
from functools import lru_cache

import msgspec
import re2

from agentops.redaction.shapes import has_digit, is_random

_SEPARATOR = "[ _.-]?"
# Kind, how the name ends, and what its value must be: anything, something with a digit in it, or random.
_NAMES = (
    ("password", "pass(?:word|wd|phrase|code)", "any"),
    ("secret", "secrets?", "any"),
    ("secret", f"secret{_SEPARATOR}key", "any"),
    ("api_key", f"api{_SEPARATOR}key", "any"),
    ("private_key", f"(?:private|signing|encryption|account|master){_SEPARATOR}key", "any"),
    ("access_key", f"secret{_SEPARATOR}access{_SEPARATOR}key", "any"),
    ("password", "pwd", "digit"),
    ("authorization", "authorization", "digit"),
    ("cookie", "cookies?", "digit"),
    ("credential", "credentials?", "digit"),
    ("token", f"(?:access|refresh|auth|bearer|api|session|security|bot|oauth|csrf|xsrf|id){_SEPARATOR}token", "digit"),
    ("access_key", f"access{_SEPARATOR}key", "random"),
    ("token", "token", "random"),
)
_AFTER = f"(?:{_SEPARATOR}(?:hash|value|confirm(?:ation)?))?[0-9]*"
ENDS = f"(?:{'|'.join(pattern for _, pattern, _ in _NAMES)}){_AFTER}"  # of a name, to be read in either case
_LAST = re2.compile(f"(?i)(?:{'|'.join(f'({pattern})' for _, pattern, _ in _NAMES)}){_AFTER}$")
_LONGEST = 64  # characters at the end of a name that decide
# Where to go on in a list is no secret, though it is called a token.
_PLACES = re.compile(r"(?i)(?:page|next|prev|previous|continuation|sync|cursor|start|end)[ _.-]?token$")
MARK = "[redacted:"  # begins what stands in the place of a secret
_PLACEHOLDER = re.compile(
    r"[*•.…xX-]+|<[^<>]*>|\$\{?\w+\}?|%\w+%|\{\{[^{}]*\}\}|\[[\w :.-]+\]|"
    r"(?i:|none|null|nil|true|false|yes|no|undefined|string|str|text|bytes|any|required|optional|redacted|hidden|empty)"
)


class Named(msgspec.Struct, frozen=True):
    """A name that says that its value is secret."""

    kind: str
    must_be: str

    def is_secret(self, value: str) -> bool:
        """Say whether a value is one: no placeholder, not redacted already, and as the name asks it to be."""
        if MARK in value or (len(value) < 100 and _PLACEHOLDER.fullmatch(value.strip())):
            return False
        raw = value.encode(errors="surrogatepass")
        if self.must_be == "any":
            return True
        if self.must_be == "random":
            return is_random(raw)
        return (has_digit(raw) or b"=" in raw or len(raw) >= 24) and not value.startswith(("/", "~/"))


def named(name: str) -> Named | None:
    """Return what a name says of its value, None for nearly all."""
    return _named(name[-_LONGEST:])


@lru_cache(maxsize=4_096)
def _named(name: str) -> Named | None:
    found = _LAST.search(name)
    if found is None or _PLACES.search(name):
        return None
    kind, _, must_be = _NAMES[found.lastindex - 1]
    return Named(kind, must_be)
