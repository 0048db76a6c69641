"""The one place that turns traced text into HTML: always escaped, and nothing in it stays invisible.

Whoever can write into a trace can try to write into our page, or to hide something from the person who reads it. So
every hidden character becomes a visible chip, terminal escapes too, letters that pass for others are marked, storms of
combining marks are bounded, and what is cut says so. Everything here takes linear time.
"""

import re
from dataclasses import dataclass
from functools import cache
from html import unescape

from django.utils.html import escape
from django.utils.safestring import SafeString

from agentops.web import numbers
from agentops.web.codepoints import LATIN, LOOKALIKE, WORD, combining_class, hidden_class, name_of

BLOCK_LIMIT = 65_536  # characters of one text on a page; the whole is in the export
MAX_CHIPS = 2_000
MARKS_IN_A_ROW = 4
LONGEST_WORD = 200  # a longer one is marked as a whole, not letter by letter
_MIXED = 'class="mixed-script"'  # what is escaped has no such quotes
_FOREIGN = re.compile(r'<b title="(U\+[0-9A-F]+) [^>]*>[^<]*</b>')
_TAG = re.compile(r"<[^>]*>")
_PLAIN = re.compile(r"[\n\t\x20-\x7e]*")
# A line end that is no overwrite; a terminal's colour, cursor, link, clipboard and title commands.
_TERMINAL = re.compile(r"\r\n|\x1b\[[0-?]{0,64}[ -/]{0,8}[@-~]|\x1b[\]PX^_@-Z\\]")


@dataclass(frozen=True)
class Revealed:
    """Text as HTML; `chips` counts what was hidden in it, `shown` of `total` characters were drawn."""

    html: SafeString
    chips: int
    shown: int
    total: int

    @property
    def is_cut(self) -> bool:
        return self.shown < self.total

    @property
    def is_suspicious(self) -> bool:
        """Say whether something was hidden in it, or some letters pass for others."""
        return self.chips > 0 or _MIXED in self.html

    @property
    def spelled(self) -> str:
        """Return it as text that can be typed: whatever is not what it looks like by its number, `prodU+200B-db`."""
        return unescape(_TAG.sub("", _FOREIGN.sub(r"\1", self.html)))


def reveal(text: str, limit: int | None = None) -> Revealed:
    """Return the text as safe HTML with every hidden character as a visible chip.

    Stops after `limit` characters, or after 2,000 chips: a text that is mostly chips is an attack on the page.
    """
    total = len(text)
    if limit is not None and total > limit:
        text = text[:limit]
    if _PLAIN.fullmatch(text):
        return Revealed(SafeString(escape(text)), 0, len(text), total)
    html: list[str] = []
    hidden = _hidden(_is_astral(text))
    chips = end = 0
    while match := hidden.search(text, end):
        if chips == MAX_CHIPS:
            text = text[: match.start()]
            break
        html.append(_letters(text[end : match.start()]))
        sequence = _TERMINAL.match(text, match.start()) or match
        html.append(_chip(sequence[0]))
        chips += sequence[0] != "\r\n"
        end = sequence.end()
    html.append(_letters(text[end:]))
    return Revealed(SafeString("".join(html)), chips, len(text), total)


def cut_note(revealed: Revealed, total: int | None = None) -> str:
    """Return the sentence that says what is not drawn, or nothing. `total` is the size before storage cut it."""
    whole = max(revealed.total, total or 0)
    if revealed.shown >= whole:
        return ""
    if revealed.chips >= MAX_CHIPS:
        why = f"Cut after {MAX_CHIPS:,} hidden characters"
        return f"{why}, {revealed.shown:,} of {whole:,} characters. The whole is in the export."
    return f"Cut at {numbers.count(revealed.shown)} of {numbers.count(whole)} characters. The whole is in the export."


def _is_astral(text: str) -> bool:
    """Say whether anything lies beyond the first plane; most text does not, and the class without it is much faster."""
    return max(text, default="") > "\uffff"


@cache
def _hidden(astral: bool) -> re.Pattern[str]:
    """Compile a run of one hidden character. Built on first use: it asks about every character (0.2 s)."""
    return re.compile(f"([{hidden_class(astral)}])\\1*")


@cache
def _storm(astral: bool) -> re.Pattern[str]:
    marks = combining_class(astral)
    return re.compile(f"([{marks}]{{{MARKS_IN_A_ROW}}})([{marks}]+)")


def _chip(found: str) -> str:
    if found == "\r\n":
        return "\n"
    if found[0] == "\x1b" and len(found) > 1 and found[1] != "\x1b":
        return _chip_html(f"ESC{found[1:]}", "terminal escape sequence")
    times = f" \u00d7{len(found):,}" if len(found) > 1 else ""
    return _chip_html(f"U+{ord(found[0]):04X}{times}", name_of(found[0]))


def _chip_html(label: str, name: str) -> str:
    label, name = escape(label), escape(name)
    return f'<span class="chip-hidden" role="img" aria-label="{label} {name}" title="{name}">{label}</span>'


def _letters(text: str) -> str:
    """Escape visible text, bound storms of combining marks, mark words that mix letters drawn the same."""
    if text.isascii():
        return escape(text)
    html: list[str] = []
    end = 0
    for storm in _storm(_is_astral(text)).finditer(text):
        html.append(_words(text[end : storm.start()] + storm[1]))
        html.append(_chip_html(f"+{len(storm[2]):,} marks", "combining marks piled on one letter"))
        end = storm.end()
    html.append(_words(text[end:]))
    return "".join(html)


def _words(text: str) -> str:
    if not LOOKALIKE.search(text):
        return escape(text)
    html: list[str] = []
    end = 0
    for match in WORD.finditer(text):
        word = match[0]
        if word.isascii() or not LOOKALIKE.search(word) or not LATIN.search(word):
            continue
        html += [escape(text[end : match.start()]), _mixed(word)]
        end = match.end()
    html.append(escape(text[end:]))
    return "".join(html)


def _mixed(word: str) -> str:
    letters = word if len(word) > LONGEST_WORD else LOOKALIKE.sub(_foreign, word)
    return f'<span class="mixed-script" title="letters of two scripts in one word">{letters}</span>'


def _foreign(match: re.Match[str]) -> str:
    return f'<b title="U+{ord(match[0]):04X} {name_of(match[0])}">{match[0]}</b>'
