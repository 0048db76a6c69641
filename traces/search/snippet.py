"""What a result shows: the step that has what was looked for, and a few words around it."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from traces.search.words import Term, plain_text

BEFORE, LENGTH = 12, 180  # characters before what was found, so that a narrow row shows it, and in all
Step = tuple[str, bool]  # its span id, and whether it is a step, which a page can show
FIELDS = (
    "text", "error", "tool_name", "tool_input", "tool_output", "model_thinking", "name", "agent", "model", "decision",
)  # fmt: skip
BODIES = {"tool_input", "tool_output"}


class Match(NamedTuple):
    """Where a trace has what was looked for: a part of one field of one step."""

    span_id: str
    is_step: bool
    field: str  # by its name on the wire
    snippet: str
    highlights: list[tuple[int, int]]  # places in the snippet, in characters, in order

    @property
    def pieces(self) -> Iterator[tuple[str, bool]]:
        """Yield the snippet in parts, each with whether it was looked for."""
        end = 0
        for start, after in self.highlights:
            yield self.snippet[end:start], False
            yield self.snippet[start:after], True
            end = after
        yield self.snippet[end:], False


def match_in(step: Step, texts: Iterable[str | None], wanted: list[Term], marked: list[Term]) -> Match | None:
    """Return the part of the first of a step's texts, in the order of FIELDS, that has one of the wanted terms.

    What is marked in it may be more than what was wanted.
    """
    for field, text in zip(FIELDS, texts, strict=True):
        shown = _shown(text, is_body=field in BODIES) if text else ""
        first = min((place for term in wanted for place in _places(term, shown)), default=None)
        if first:
            near = {first, *(place for term in marked for place in _places(term, shown, first[0]))}
            return Match(*step, field, *_cut_out(shown, sorted(near)))
    return None


def _shown(text: str, *, is_body: bool) -> str:
    if not is_body:
        return text
    return str(msgspec.json.decode(text)) if text.startswith('"') else plain_text(text)


def _places(term: Term, text: str, start: int | None = None) -> Iterator[tuple[int, int]]:
    """Yield where a term stands first, or, near a place, wherever it stands behind it."""
    expression = re.compile(term.expression, re.IGNORECASE)
    if start is None:
        yield from (match.span(1) for match in [expression.search(text)] if match)
    else:
        window = text[: start + LENGTH]
        yield from (match.span(1) for match in expression.finditer(window, max(start - 1, 0)))


def _cut_out(text: str, places: list[tuple[int, int]]) -> tuple[str, list[tuple[int, int]]]:
    """Return the text around the first place on one line, and the places in it."""
    start = max(places[0][0] - BEFORE, 0)
    if start:  # begin with a word, where there are words
        start = text.find(" ", start, places[0][0]) + 1 or start
    end = start + LENGTH
    lead, tail = "…" if start else "", "…" if end < len(text) else ""
    snippet = lead + re.sub(r"\s", " ", text[start:end]) + tail
    shift = len(lead) - start
    inside = [(first + shift, min(last, end) + shift) for first, last in places if first < end]
    return snippet, _apart(inside)


def _apart(places: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return sorted places that do not overlap."""
    kept: list[tuple[int, int]] = []
    for first, last in places:
        if kept and first < kept[-1][1]:
            kept[-1] = (kept[-1][0], max(last, kept[-1][1]))
        else:
            kept.append((first, last))
    return kept
