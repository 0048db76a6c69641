"""Small bar drawings: traces over time with the failed part at the foot, a strip of counts, a meter."""

from collections.abc import Sequence

from django.utils.html import format_html
from django.utils.safestring import SafeString

HEIGHT = 30


def histogram_svg(counts: Sequence[tuple[int, int]]) -> SafeString:
    """Draw (traces, of which failed) over equal stretches of time, over the whole width, 30 high."""
    scale = HEIGHT / (max((total for total, _ in counts), default=0) or 1)
    label = f"{sum(total for total, _ in counts):,} traces, {sum(failed for _, failed in counts):,} of them failed"
    series = {"all": [total * scale for total, _ in counts], "failed": [failed * scale for _, failed in counts]}
    return _bars("histogram", label, len(counts), series)


def strip_svg(totals: Sequence[int], open_: Sequence[int], top: int, label: str) -> SafeString:
    """Draw one row of a set of strips that share the scale `top`; `open_` is the part whose alert is open."""
    scale = HEIGHT / max(1, top)
    series = {"bar": [n * scale for n in totals], "open": [n * scale for n in open_]}
    return _bars("strip", label, len(totals), series)


def meter_svg(share: float, tone: str = "") -> SafeString:
    """Draw a share between 0 and 1 as a bar on a track; the figure itself stands beside it as text."""
    return format_html(
        '<svg class="meter" data-tone="{}" aria-hidden="true"><rect class="track" width="100%" height="8"/>'
        '<rect class="part" width="{}%" height="8"/></svg>',
        tone,
        f"{min(1.0, max(0.0, share)) * 100:.1f}",
    )


def _bars(css: str, label: str, n: int, series: dict[str, list[float]]) -> SafeString:
    paths = "".join(f'<path class="{name}" d="{_path(heights)}"/>' for name, heights in series.items())
    return format_html(
        '<svg class="{}" role="img" aria-label="{}" viewBox="0 0 {} {}" preserveAspectRatio="none">{}</svg>',
        css,
        label,
        max(1, n * 4 - 1),
        HEIGHT,
        SafeString(f'<path class="base" d="M0 {HEIGHT}h{max(1, n * 4 - 1)}v-.6H0z"/>{paths}'),
    )


def _path(heights: list[float]) -> str:
    return "".join(f"M{i * 4} {HEIGHT}v-{max(1.0, h):.1f}h3v{max(1.0, h):.1f}z" for i, h in enumerate(heights) if h)
