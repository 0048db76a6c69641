"""Taking secrets out of texts and JSON values, with a mark in the place of each."""

from collections import Counter
from hashlib import blake2b
from typing import Any

import msgspec
import re2

from agentops.redaction import hint, shapes
from agentops.redaction.names import ENDS, MARK, named
from agentops.redaction.rules import Budget, Rules

# What is shown in one line ends with this where it was cut; a key that was cut with it is too short for its shape.
CUT = "…"
_BEGINS = "|".join(shape.begins for shape in shapes.SHAPES if shape.begins)
_CUT_OFF = re2.compile(rf"(?:{_BEGINS})([^\s\"'{CUT}]+){CUT}".encode())
_ASSIGNED = re2.compile(
    rf"(?i)([\w.-]*(?:{ENDS}))"  # the name
    r"(?:\\*[\"'`])?\]?(?:%5D)?"  # its quote or bracket
    r"(\s*(?::\s*str(?:ing)?\s*)?(?::=|=>|[:=])\s*[bfru]?|\s+)"  # what parts it from the value
    r"(?:\\+[\"']([^\"'\\]*)|\"((?:[^\"\\\n]|\\[^\n])*)|'((?:[^'\\\n]|\\[^\n])*)|([^\s\"'\\,;&<>(){}\[\]|`]+))".encode()
)
_CODE = re2.compile(rf"(?i)[a-z_]+(?:\.[a-z_]\w*)+|[a-z_]*(?:{ENDS})|\$.*|-.*".encode())
SHORT, MOST_KNOWN = 64, 10_000  # texts that come again and again: keys, names; and how many are remembered
_LEAST = 5  # characters of a value that is neither quoted nor joined to its name
_BARE = 6  # the group of such a value


class Redactor:
    """Redacts what it is given and remembers what it took out: `found` counts each secret once, by kind.

    `key` makes the marks of one project: equal secrets get equal marks, which tell nothing about the secret without it.
    """

    def __init__(self, key: bytes = b"", rules: Rules | None = None) -> None:
        self._key = key
        self._rules = rules or Rules()
        self._budget = Budget()
        self._known: dict[str, str] = {}
        self._marks: set[tuple[str, str]] = set()

    @property
    def has_rules(self) -> bool:
        """Say whether texts are looked through whatever the first look at them says."""
        return bool(self._rules)

    @property
    def found(self) -> dict[str, int]:
        return dict(Counter(kind for kind, _ in self._marks))

    def mark(self, kind: str, secret: bytes) -> str:
        """Return what stands in the place of a secret: its kind, and 16 bits by which equal ones are recognised."""
        made = f"{MARK}{kind}:{blake2b(secret, digest_size=2, key=self._key).hexdigest()}]"
        self._marks.add((kind, made))
        return made

    def text(self, text: str) -> str:
        """Return a text without its secrets; one that is JSON is read as such. Linear in its length."""
        if len(text) > SHORT:
            return self._text(text)
        if text not in self._known and len(self._known) < MOST_KNOWN:
            self._known[text] = self._text(text)
        return self._known.get(text) or self._text(text)

    def _text(self, text: str) -> str:
        if not self._rules and not hint.may_hold_secrets(text.encode(errors="surrogatepass")):
            return text
        if text.lstrip()[:1] in {"{", "[", '"'}:
            try:
                value = msgspec.json.decode(text)
                new = self.value(value)
                return text if new == value else msgspec.json.encode(new).decode()
            except (msgspec.DecodeError, UnicodeError, RecursionError):
                pass
        return self._plain(text)

    def id(self, text: str) -> str:
        """Return an id without secrets. Rules leave it alone: what they take for equal, ids must keep apart."""
        raw = text.encode(errors="surrogatepass")
        if not hint.may_hold_secrets(raw):
            return text
        return self._replaced(raw, shapes.find(raw)).decode(errors="surrogatepass")

    def line(self, text: str) -> str:
        """Return a short text that may have been cut without its secrets, whole or cut."""
        if CUT in text:
            raw = text.encode(errors="surrogatepass")
            cut = [(*match.span(match.lastindex), "cut") for match in _CUT_OFF.finditer(raw)]
            text = self._replaced(raw, cut).decode(errors="surrogatepass")
        return self.text(text)

    def value(self, value: Any, name: str = "") -> Any:
        """Return a JSON value without its secrets, in keys and in values; what stands under a secret's name is one."""
        if isinstance(value, str):
            return self._named(name, value) or self.text(value)
        if isinstance(value, dict):
            return {self.text(key): self.value(item, key) for key, item in value.items()}
        if isinstance(value, list):
            return [self.value(item, name) for item in value]
        if isinstance(value, bool) or value is None:
            return value
        text = str(value)
        about = named(name) if name else None
        new = self.mark(about.kind, text.encode()) if about and about.must_be == "any" else self._by_rules(text)
        return value if new == text else new

    def _named(self, name: str, value: str) -> str | None:
        about = named(name) if name else None
        if about is None or not about.is_secret(value):
            return None
        return self.mark(about.kind, value.encode(errors="surrogatepass"))

    def _plain(self, text: str) -> str:
        raw = text.encode(errors="surrogatepass")
        if hint.may_hold_secrets(raw):
            if hint.IN_BASE64.search(raw):
                raw = self._replaced(raw, shapes.find_in_base64(raw))
            raw = self._replaced(raw, shapes.find(raw))
            raw = self._replaced(raw, _assigned(raw))
            text = raw.decode(errors="surrogatepass")
        return self._by_rules(text)

    def _by_rules(self, text: str) -> str:
        return self._budget.spend(self._rules, text, self.mark) if self._rules else text

    def _replaced(self, raw: bytes, found: list[tuple[int, int, str]]) -> bytes:
        parts, end = [], 0
        for start, stop, kind in found:
            secret = raw[start:stop]
            if MARK.encode() in secret:
                continue
            parts += [raw[end:start], self.mark(kind, secret).encode()]
            end = stop
        return b"".join([*parts, raw[end:]])


def _assigned(raw: bytes) -> list[tuple[int, int, str]]:
    """Return the values that a text gives to secret names: in code, forms, headers, on command lines."""
    found = []
    for match in _ASSIGNED.finditer(raw):
        group = match.lastindex
        about = named(match.group(1).decode(errors="replace"))
        value = match.group(group)
        if about is None or (group == _BARE and not _is_value(match, raw, value)):
            continue
        if about.is_secret(value.decode(errors="surrogateescape")):
            found.append((*match.span(group), about.kind))
    return found


def _is_value(match: Any, raw: bytes, value: bytes) -> bool:
    """Say whether what follows a name without quotes is its value, not a word of a sentence nor a piece of code."""
    between = match.group(2)
    if raw[match.end() : match.end() + 1] in (b"(", b"[") or _CODE.fullmatch(value):
        return False
    if between.isspace():
        return bool(match.group(1).startswith(b"--"))
    return bool(between == b"=") or (len(value) >= _LEAST and shapes.has_digit(value))
