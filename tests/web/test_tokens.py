"""Contrast is a property of the tokens: text on every ground it may stand on, shapes beside it, in both themes."""

import math
import re
from pathlib import Path

import pytest

TOKEN = re.compile(r"--([\w-]+): light-dark\(oklch\(([^)]*)\), oklch\(([^)]*)\)\);")
COLOURS = {
    name: tuple(tuple(map(float, part.split())) for part in pair)
    for name, *pair in TOKEN.findall(Path("static/css/tokens.css").read_text(encoding="utf-8"))
    if "/" not in "".join(pair)
}
GROUNDS = ("ground", "surface", "sunk", "hover", "float")
TEXT = [
    (ink, ground, 4.5)
    for ink in ("ink", "ink-2", "ink-3", "accent", "bad", "wait", "good", "live")
    for ground in GROUNDS
]
TEXT += [(tone, f"{tone}-tint", 4.5) for tone in ("bad", "wait", "good", "live", "accent")]
TEXT += [("ink", tint, 4.5) for tint in ("bad-tint", "wait-tint", "good-tint", "live-tint", "accent-tint", "nav-here")]
TEXT += [("ink-3", "accent-tint", 4.5), ("on-mark", "bad-mark", 4.5), ("surface", "ink", 4.5), ("on-mark", "k1", 4.5)]
SHAPES = [
    (mark, "surface", 3.0) for mark in ("edge", "ghost", "bad-mark", "wait-mark", "good-mark", "live-mark", "accent")
]


def luminance(colour: tuple[float, ...]) -> float:
    """Relative luminance (WCAG 2) of an oklch colour, by the matrices of CSS Color 4."""
    lightness, chroma, hue = colour
    a, b = chroma * math.cos(math.radians(hue)), chroma * math.sin(math.radians(hue))
    l_ = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    m_ = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    s_ = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    red = 4.0767416621 * l_ - 3.3077115913 * m_ + 0.2309699292 * s_
    green = -1.2684380046 * l_ + 2.6097574011 * m_ - 0.3413193965 * s_
    blue = -0.0041960863 * l_ - 0.7034186147 * m_ + 1.7076147010 * s_
    red, green, blue = (min(1.0, max(0.0, part)) for part in (red, green, blue))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("fore", "back", "least"), TEXT + SHAPES, ids=str)
def test_pairs_of_tokens_have_the_contrast_they_need(fore: str, back: str, least: float, theme: int) -> None:
    assert contrast(COLOURS[fore][theme], COLOURS[back][theme]) >= least


def test_every_token_that_is_used_is_defined() -> None:
    sources = [path.read_text(encoding="utf-8") for path in Path("static/css").rglob("*.css")]
    defined = set(re.findall(r"(--[\w-]+)\s*:", "".join(sources)))
    assert set(re.findall(r"var\((--[\w-]+)\)", "".join(sources))) <= defined
