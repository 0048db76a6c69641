"""Barcodes, histograms and marks: what is drawn is what happened."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from django.utils.safestring import SafeString
from hypothesis import given
from hypothesis import strategies as st

from agentops.web.barcode import BARS, LARGE, barcode_map_svg, barcode_svg, binned, in_words
from agentops.web.histogram import histogram_svg, meter_svg, strip_svg
from agentops.web.states import _SEVERITIES, _STATES, severity_look, state_look
from agentops.web.templatetags import look

SPRITE = Path("static/glyphs.svg").read_text(encoding="utf-8")


def bars(svg: str) -> int:
    return sum(d.count("M") for d in re.findall(r'class="[mctge]" d="([^"]*)"', svg))


@given(st.text("mctge", max_size=500))
def test_a_barcode_has_at_most_36_bars_and_is_well_formed(shape: str) -> None:
    svg = barcode_svg(shape, ranges=[(1, 3)] if shape else [], here=1 if shape else None, scale=LARGE)
    ET.fromstring(svg)  # noqa: S314 - our own drawing
    assert bars(svg) == min(len(shape), BARS)


@given(st.text("mct", min_size=40, max_size=300), st.integers(0, 39), st.sampled_from("eg"))
def test_a_lone_error_or_gate_survives_binning(shape: str, place: int, kind: str) -> None:
    assert kind in binned(shape[:place] + kind + shape[place:])


def test_a_barcode_says_its_counts() -> None:
    assert in_words("cmttmtge") == "8 steps: 1 customer turn, 2 model answers, 3 tool calls, 1 error, 1 human gate"
    assert in_words("t") == "1 step: 1 tool call"
    assert in_words("tt" * 18, 10_000) == "10,000 steps"


def test_a_finding_is_bracketed_over_its_bars() -> None:
    assert 'd="M32 3V0H67V3"' in barcode_svg("cmttmtgmttttttttttt", ranges=[(9, 17)])


def test_the_windows_of_a_long_run_are_links() -> None:
    svg = barcode_map_svg("t" * 72, [("?from=0", "Steps 1 to 100"), ('?from="100', "<next>")], 200)
    assert svg.count("<a ") == 2
    assert '"?from=&quot;100"' in svg
    assert "&lt;next&gt;" in svg


def test_charts_are_well_formed_and_say_their_sums() -> None:
    for svg in (
        histogram_svg([(3, 1), (0, 0)]),
        strip_svg([1, 0], [0, 0], 3, "<x>"),
        meter_svg(2.0),
        histogram_svg([]),
    ):
        assert isinstance(svg, SafeString)
        ET.fromstring(svg)  # noqa: S314 - our own drawing
    assert "3 traces, 1 of them failed" in histogram_svg([(3, 1), (0, 0)])


@pytest.mark.parametrize("known", [*_STATES.values(), *_SEVERITIES.values()])
def test_every_mark_is_in_the_sprite(known: look.Look) -> None:
    assert f'id="mark-{known.mark}"' in SPRITE


def test_unknown_words_get_a_plain_mark_and_their_own_name() -> None:
    assert state_look("half_done") == ("later", "ghost", "half done")
    assert severity_look("<b>").word == "<b>"
    assert "&lt;b&gt;" in look.severity("<b>")


def test_names_in_chips_are_escaped() -> None:
    assert "<script>" not in look.finding("<script>", "<script>", True) + look.tier("<script>") + look.glyph("<script>")


def test_what_begins_with_a_name_is_an_entry_of_a_list() -> None:
    assert look.listed("Of all. `a`: one <b>; `b`, `c`: two of `d`: no entry.") == (
        "<p>Of all. </p><ul><li><code>a</code>: one &lt;b&gt;; </li>"
        "<li><code>b</code>, <code>c</code>: two of <code>d</code>: no entry.</li></ul>"
    )
    assert look.listed("Just `words`.") == look.ticked("Just `words`.")


@pytest.mark.parametrize(
    ("name", "email", "letters"),
    [("Tomas Reyes", "", "TR"), ("", "ines.duarte@example.com", "ID"), ("", "", "?"), ("\u202e<b>", "", "?")],
)
def test_initials(name: str, email: str, letters: str) -> None:
    assert look.initials(type("User", (), {"name": name, "email": email})()) == letters


@pytest.mark.parametrize("first", ["safe", "plain"])
def test_what_was_drawn_from_a_safe_text_is_not_drawn_again_for_one_that_only_looks_like_it(first: str) -> None:
    note = f"<b>{first}</b>"
    safe, plain = SafeString(note), str(note)
    drawn = {type(one): look.finding("tool_loop", one) for one in ((safe, plain) if first == "safe" else (plain, safe))}
    assert note in drawn[SafeString]
    assert note not in drawn[str]
