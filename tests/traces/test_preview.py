"""Previews: one short line of a body, whatever the body is."""

from typing import Any

import pytest

from traces.ingest import preview
from traces.ingest.shape import BARS, extend


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (None, None),
        ("", None),
        (" \n\t ", None),
        ("hello\n  world", "hello world"),
        ("x" * 160, "x" * 160),
        ("x" * 161, "x" * 159 + "…"),
        (" " * 500 + "late", "late"),
        (" " * 5_000 + "too late", None),
        ("a" * 150 + " " * 5_000 + "b", "a" * 150 + "…"),
    ],
)
def test_a_text_is_its_first_words_on_one_line(text: str | None, shown: str | None) -> None:
    assert preview.of_text(text) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"q": "refund", "limit": 50}, 'q: "refund", limit: 50'),
        ({"rows": [1, {"a": 1}, []], "of": {"b": [1]}}, "rows: [1, {…}, []], of: {b: […]}"),
        ([1, 2], "[1, 2]"),
        ("plain", '"plain"'),
        (0, "0"),
        (None, None),
        ({}, None),
    ],
)
def test_arguments_are_named_values(value: Any, shown: str | None) -> None:
    assert preview.of_arguments(value) == shown


def test_a_huge_value_is_not_read_to_its_end() -> None:
    huge = {"items": list(range(10_000_000)), "more": "x" * 10_000_000}
    assert len(preview.of_arguments(huge) or "") == preview.LENGTH


@pytest.mark.parametrize("steps", [1, 36, 71, 72, 73, 144, 1_000, 50_000])
def test_a_drawing_of_any_length_is_short_and_the_same_in_any_split(steps: int) -> None:
    marks = ["e" if i % 997 == 996 else "t" for i in range(steps)]
    whole, stride = extend("", 1, 0, marks)
    drawn, part = "", 1
    for start in range(0, steps, 7):
        drawn, part = extend(drawn, part, start, marks[start : start + 7])
    assert (drawn, part) == (whole, stride)
    assert len(whole) < 2 * BARS
    assert len(whole) * stride >= steps
    assert whole.count("e") >= min(1, steps // 997)
