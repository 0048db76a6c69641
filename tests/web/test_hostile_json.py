"""JSON from traces is laid out without being parsed: nothing in it is lost, and nothing can hurt."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentops.web.hostile_json import reveal_json
from agentops.web.templatetags.traced import traced_json
from tests.web.reading import read, text_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text('aü<&"\\/ '),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("kü<", min_size=1), inner),
)


@given(JSON, st.booleans(), st.sampled_from([None, 2]))
def test_the_layout_means_the_same(value: object, is_ascii: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=is_ascii, indent=indent)
    assert json.loads(text_of(reveal_json(text).html)) == value


@given(st.text())
def test_any_text_comes_out_escaped(text: str) -> None:
    assert set(read(reveal_json(text).html).tags) <= {"span", "b"}


def test_short_containers_stay_on_a_line_and_long_ones_are_indented() -> None:
    text = json.dumps({"rows": [], "note": "x" * 80, "point": {"x": 1, "y": 2}})
    assert text_of(reveal_json(text).html).splitlines()[1:3] == ['  "rows": [],', f'  "note": "{"x" * 80}",']
    assert '  "point": {"x": 1, "y": 2}' in text_of(reveal_json(text).html)


def test_keys_are_told_from_values() -> None:
    assert reveal_json('{"a": "b"}').html == '{<span class="key">&quot;a&quot;</span>: &quot;b&quot;}'


def test_duplicate_keys_and_huge_numbers_stay() -> None:
    text = '{"risk": "HIGH", "risk": "LOW", "n": ' + "9" * 5_000 + "}"
    assert text_of(reveal_json(text).html).count('"risk"') == 2
    assert "9" * 5_000 in text_of(reveal_json(text).html)


def test_escaped_letters_are_readable_and_hidden_ones_are_chips() -> None:
    html = reveal_json(r'{"a": "\u043f\u0440\u0438 \u202e \u0041 \\u00e9 \ud83d"}').html
    assert "при" in html
    assert read(html).chips == ["U+202E"]
    assert r"\u0041 \\u00e9 \ud83d" in html


@pytest.mark.parametrize(
    "text",
    ["hello, world: x", "1 2", '{"a": 1', '{"a": 1]', "[1] [2]", '{"a" "b"}', "", '{"a": undefined}', "{'a': 1}"],
)
def test_what_is_no_json_is_shown_as_the_text_it_is(text: str) -> None:
    assert text_of(reveal_json(text).html) == text


@pytest.mark.parametrize(
    "text", ["[" * 32_000 + "]" * 32_000, "[" * 64_000, '{"a":' * 12_000, '"' + "\\a" * 32_000, " " * 64_000 + "x"]
)
def test_deep_and_broken_documents_take_linear_time(text: str) -> None:
    start = time.process_time()
    shown = reveal_json(text)
    assert time.process_time() - start < 20  # far above what is needed on any machine
    assert len(shown.html) < 60 * len(text)


def test_a_value_that_was_read_already_is_laid_out_too() -> None:
    assert "&quot;a&quot;" in str(traced_json({"a": "<b>"}))
    assert "<b>" not in str(traced_json({"a": "<b>"}))
