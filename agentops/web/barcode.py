"""The run barcode: a whole run in at most 36 bars, the same drawing in lists, alerts and approvals."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from django.utils.html import format_html
from django.utils.safestring import SafeString

BARS = 36
MAP_BARS = 144
# What a step is: where its bar starts and how high it is, in a box 16 high.
SHAPES = {"m": (7, 4), "c": (6, 6), "t": (4, 9), "e": (4, 12), "g": (0, 13)}
NAMES = {
    "c": ("customer turn", "customer turns"),
    "m": ("model answer", "model answers"),
    "t": ("tool call", "tool calls"),
    "e": ("error", "errors"),
    "g": ("human gate", "human gates"),
}


@dataclass(frozen=True)
class Scale:
    """Width of a bar, of the gap after it, and how much higher than the small drawing everything is."""

    bar: float
    gap: float
    tall: float

    @property
    def pitch(self) -> float:
        return self.bar + self.gap


SMALL = Scale(3, 1, 1)
LARGE = Scale(10, 4, 1.75)


@lru_cache(maxsize=1_000)  # most runs of a list are seen again, on its next page or a moment later
def binned(shape: str, bars: int = BARS) -> str:
    """Return the shape in at most `bars` characters; an error or a gate wins its bin."""
    if len(shape) <= bars:
        return shape
    edges = [i * len(shape) // bars for i in range(bars + 1)]
    return "".join(_winner(shape[start:end]) for start, end in pairwise(edges))


def _winner(part: str) -> str:
    for kind in "eg":
        if kind in part:
            return kind
    return max(part, key=part.count)  # of equals the first


def in_words(shape: str, steps: int | None = None) -> str:
    """Return `19 steps: 12 tool calls, 6 model answers, 1 error`."""
    counts = Counter(shape)
    total = len(shape) if steps is None else steps
    parts = [f"{counts[kind]:,} {names[counts[kind] != 1]}" for kind, names in NAMES.items() if counts[kind]]
    head = f"{total:,} {'step' if total == 1 else 'steps'}"
    return f"{head}: {', '.join(parts)}" if parts and total == len(shape) else head


def barcode_svg(
    shape: str,
    *,
    steps: int | None = None,
    ranges: Iterable[tuple[int, int]] = (),
    here: int | None = None,
    scale: Scale = SMALL,
) -> SafeString:
    """Draw a run. `ranges` (a finding's first and last step) and `here` count steps from 1."""
    bars = binned(shape)
    total = max(1, len(shape) if steps is None else steps)
    width, height = max(1, len(bars)) * scale.pitch - scale.gap, 16 * scale.tall
    extra = "".join(_bracket(first, last, total, len(bars), scale) for first, last in ranges)
    if here and bars:
        middle = _bar_of(here, total, len(bars)) * scale.pitch + scale.bar / 2
        extra += f'<path class="here" d="M{_n(middle)} {_n(height + 1)}l3 4h-6z"/>'
    return format_html(
        '<svg class="barcode" role="img" aria-label="{}" width="{}" height="{}">{}{}</svg>',
        in_words(shape, steps),
        _n(width),
        _n(height),
        SafeString(_paths(bars, scale)),
        SafeString(extra),
    )


def barcode_map_svg(shape: str, windows: Sequence[tuple[str, str]], steps: int) -> SafeString:
    """Draw a long run over the whole width; each window (its address and name) is a link over its part."""
    bars = binned(shape, MAP_BARS)
    scale = Scale(3, 1, 1.5)
    width = max(1, len(bars)) * scale.pitch
    part = width / max(1, len(windows))
    links = [
        format_html(
            '<a href="{}"><rect x="{}" y="0" width="{}" height="28"><title>{}</title></rect></a>',
            url,
            _n(i * part),
            _n(part),
            name,
        )
        for i, (url, name) in enumerate(windows)
    ]
    return format_html(
        '<svg class="barcode barcode-map" viewBox="0 0 {} 28" preserveAspectRatio="none" role="group"'
        ' aria-label="{}">{}{}</svg>',
        _n(width),
        in_words(shape, steps),
        SafeString(_paths(bars, scale)),
        SafeString("".join(links)),
    )


@lru_cache(maxsize=1_000)
def _paths(bars: str, scale: Scale) -> str:
    """Return one path a kind: a list of fifty runs stays small."""
    drawn: dict[str, list[str]] = {}
    for i, kind in enumerate(bars):
        top, high = SHAPES.get(kind, SHAPES["m"])
        drawn.setdefault(kind if kind in SHAPES else "m", []).append(
            f"M{_n(i * scale.pitch)} {_n(top * scale.tall)}h{_n(scale.bar)}v{_n(high * scale.tall)}h-{_n(scale.bar)}z"
        )
    return "".join(f'<path class="{kind}" d="{"".join(parts)}"/>' for kind, parts in drawn.items())


def _bracket(first: int, last: int, total: int, bars: int, scale: Scale) -> str:
    start = _bar_of(first, total, bars) * scale.pitch
    end = _bar_of(last, total, bars) * scale.pitch + scale.bar
    return f'<path class="range" stroke-width="1.5" d="M{_n(start)} 3V0H{_n(end)}V3"/>'


def _bar_of(step: int, total: int, bars: int) -> int:
    return min(bars - 1, max(0, (step - 1) * bars // total))


@lru_cache(maxsize=4_096)  # the bars of one list stand at the same places
def _n(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
