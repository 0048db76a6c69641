"""A project's own patterns: what may be one, and how texts are looked through with them within a budget."""

import time
from collections.abc import Callable, Sequence
from functools import partial

import re2

from agentops.redaction.names import MARK

LONGEST = 300  # characters of a pattern
LARGEST = 1_000  # instructions it compiles to; what a byte of text costs at most grows with them
MOST = 20  # rules of a project
BUDGET_S = 2.0  # CPU seconds that the rules of a project have for one batch
_MARKS = re2.compile(r"\[redacted:[a-z0-9_]+:[0-9a-f]{4}\]")
Mark = Callable[[str, bytes], str]


class PatternError(ValueError):
    """Raised for a pattern that cannot be a rule; the message is a sentence that says what would be right."""


def check(pattern: str) -> None:
    """Raise PatternError unless a pattern is short, of a language without backtracking, and never matches nothing."""
    if len(pattern) > LONGEST:
        raise PatternError(f"A pattern has at most {LONGEST} characters.")
    try:
        compiled = compiled_rule(pattern)
    except re2.error as error:
        said = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        raise PatternError(f"RE2 cannot read it: {said}. Look-arounds and back-references are not known.") from None
    if compiled.programsize > LARGEST:
        raise PatternError("It is too large when its repetitions are written out; repeat fewer or shorter parts.")
    if compiled.search("") or any(not match.group() for match in compiled.finditer("a1 B-")):
        raise PatternError("It matches an empty text; ask for one character at least, as in \\d+ instead of \\d*.")


def compiled_rule(pattern: str) -> "re2._Regexp":
    options = re2.Options()
    options.log_errors = False
    return re2.compile(pattern, options)


class Rules:
    """The rules of one project, compiled: name and pattern of each."""

    def __init__(self, rules: Sequence[tuple[str, str]] = ()) -> None:
        self._rules = [(name, compiled_rule(pattern)) for name, pattern in rules]
        self._any = compiled_rule("|".join(f"(?:{pattern})" for _, pattern in rules))

    def __bool__(self) -> bool:
        return bool(self._rules)

    def replaced(self, text: str, mark: Mark) -> str:
        """Return a text in which everything that a rule matches is a mark; marks that are there stay."""
        if not self._any.search(text):
            return text
        for name, rule in self._rules:
            if rule.search(text):
                text = _outside_marks(text, partial(_marked, name=name, rule=rule, mark=mark))
        return text


class Budget:
    """The CPU time that a batch may still use for rules. Where it is used up, what was not looked at is withheld."""

    def __init__(self, left_s: float = BUDGET_S) -> None:
        self.left_s = left_s

    def spend(self, rules: Rules, text: str, mark: Mark) -> str:
        if self.left_s <= 0:
            return mark("over_budget", text.encode(errors="surrogatepass"))
        began = time.thread_time()
        try:
            return rules.replaced(text, mark)
        finally:
            self.left_s -= time.thread_time() - began


def _marked(part: str, *, name: str, rule: "re2._Regexp", mark: Mark) -> str:
    def one(match: "re2._Match") -> str:
        found = match.group()
        return mark(name, found.encode(errors="surrogatepass")) if found else ""

    return str(rule.sub(one, part))


def _outside_marks(text: str, change: Callable[[str], str]) -> str:
    if MARK not in text:
        return change(text)
    parts, end = [], 0
    for match in _MARKS.finditer(text):
        parts += [change(text[end : match.start()]), match.group()]
        end = match.end()
    return "".join([*parts, change(text[end:])])
