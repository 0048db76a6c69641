"""Drawings of the time to detect: one dot a failure on a logarithmic axis, the legs of the way, shares."""

from collections.abc import Sequence
from math import log

from django.utils.html import format_html
from django.utils.safestring import SafeString

from agentops.web import numbers
from traces.alerts.legs import OURS, Leg
from traces.alerts.models import OBJECTIVE
from traces.alerts.mttd import CAP, CAP_WORDS, OBJECTIVE_WORDS, Figures, Point

LOWEST_S = 0.5
HIGHEST_S = CAP.total_seconds() * 1.15  # the cap itself is inside
DOTS = 200  # the newest of a pattern, misses first
HEIGHT = 53
GRID = ((1, "1 s"), (10, "10 s"), (60, "1 min"))
LIMITS = ((OBJECTIVE.total_seconds(), f"objective {OBJECTIVE_WORDS}"), (CAP.total_seconds(), f"cap {CAP_WORDS}"))


def across(seconds: float) -> float:
    """Return the place on the axis in percent."""
    bounded = min(max(seconds, LOWEST_S), HIGHEST_S)
    return round(100 * log(bounded / LOWEST_S) / log(HIGHEST_S / LOWEST_S), 2)


def axis_svg() -> SafeString:
    """Draw the names of the axis."""
    words = "".join(
        format_html('<text x="{}%" y="14" text-anchor="middle">{}</text>', across(at), word)
        for at, word in GRID + LIMITS
    )
    return format_html('<svg class="plot-axis" width="100%" height="18" aria-hidden="true">{}</svg>', SafeString(words))


def strip_plot_svg(points: Sequence[Point], of: Figures) -> SafeString:
    """Draw the failures of one pattern: dots, whisker, a tick at p50, a diamond at p95, a cross for each miss."""
    label = f"{of.n} failures, {of.misses} missed" if of.n else "no failure"
    parts = [_line("grid", at) for at, _ in GRID]
    parts += [_line("objective", OBJECTIVE.total_seconds()), _line("cap", CAP.total_seconds())]
    parts += [_dot(point, place) for place, point in enumerate(_drawn(points))]
    if of.n and of.p50_s is not None and of.p95_s is not None:
        least = min(point.to_told_s for point in points)
        parts.append(
            format_html('<line class="whisker" x1="{}%" x2="{}%" y1="40" y2="40"/>', across(least), across(of.p95_s))
        )
        parts.append(format_html('<line class="p50" x1="{0}%" x2="{0}%" y1="34" y2="46"/>', across(of.p50_s)))
        parts.append(
            format_html('<svg x="{}%" y="40" overflow="visible"><path class="p95" d="M0-5 5 0 0 5-5 0z"/></svg>',
                        across(of.p95_s))
        )  # fmt: skip
    return format_html(
        '<svg class="plot" width="100%" height="{}" role="img" aria-label="{}">{}</svg>',
        HEIGHT,
        label,
        SafeString("".join(parts)),
    )


def _drawn(points: Sequence[Point]) -> list[Point]:
    if len(points) <= DOTS:
        return list(points)
    missed = [point for point in points if point.is_missed][-DOTS // 2 :]
    return [*[point for point in points if not point.is_missed][len(missed) - DOTS :], *missed]


def _line(css: str, at_s: float) -> SafeString:
    return format_html('<line class="{0}" x1="{1}%" x2="{1}%" y1="0" y2="{2}"/>', css, across(at_s), HEIGHT)


def _dot(point: Point, place: int) -> SafeString:
    at, y = across(point.to_told_s), 12 + place * 7 % 17  # spread, the same each time
    if point.is_missed:
        return format_html(
            '<svg x="{}%" y="{}" overflow="visible"><path class="miss" d="M-5-5 5 5M5-5-5 5"/></svg>', at, y
        )
    css = "dot late" if point.is_late else "dot"
    return format_html('<circle class="{}" cx="{}%" cy="{}" r="3"/>', css, at, y)


def legs_svg(legs: Sequence[Leg], longest_s: float) -> SafeString:
    """Draw the medians of the legs that are ours one after the other, on a scale of seconds that all rows share."""
    at, parts, words = 0.0, [], []
    for place, leg in enumerate(legs[OURS], 1):
        if not leg.p50_s or not longest_s:
            continue
        width = 100 * leg.p50_s / longest_s
        parts.append(
            format_html('<rect class="leg{}" x="{}%" width="{}%" height="14"/>', place, round(at, 2), round(width, 2))
        )
        words.append(f"{leg.name} {numbers.duration(leg.p50_s)}")
        at += width
    if not parts:
        return SafeString("")
    return format_html(
        '<svg class="legs" width="100%" height="14" role="img" aria-label="{}">{}</svg>',
        ", ".join(words),
        SafeString("".join(parts)),
    )


def length_s(legs: Sequence[Leg]) -> float:
    """Return how long the medians of the legs that are ours are, one after the other."""
    return sum(leg.p50_s or 0.0 for leg in legs[OURS])


def share_svg(share: float | None, interval: tuple[float, float] | None, least: float) -> SafeString:
    """Draw a share of one with its interval, and the least that it should be."""
    if share is None or interval is None:
        return SafeString("")
    low, high = (round(100 * end, 1) for end in interval)
    parts = [
        format_html('<line class="objective" x1="{0}%" x2="{0}%" y1="0" y2="16"/>', round(100 * least, 1)),
        format_html('<line class="whisker" x1="{}%" x2="{}%" y1="8" y2="8"/>', low, high),
        format_html('<line class="p50" x1="{0}%" x2="{0}%" y1="2" y2="14"/>', round(100 * share, 1)),
    ]
    label = f"{share:.0%}, between {low:.0f} and {high:.0f} %"
    return format_html(
        '<svg class="plot" width="100%" height="16" role="img" aria-label="{}">{}</svg>',
        label,
        SafeString("".join(parts)),
    )
