"""Filters that write numbers, times and ids as agentops/web/numbers.py says."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from agentops.web import numbers

register = template.Library()
LONG_S = 600
ONE_PLACE_BELOW = 0.1

register.filter("duration", numbers.duration)
register.filter("clock", numbers.clock)
register.filter("money", numbers.money)
register.filter("cost", numbers.cost)
register.filter("short_cost", numbers.short_cost)
register.filter("count", numbers.count)
register.filter("compact", numbers.compact)
register.filter("size", numbers.size)
register.filter("short_id", numbers.short_id)


@register.filter
def total(counts: Mapping[str, int] | None) -> int:
    """Add up the counts of facets."""
    return sum((counts or {}).values())


@register.filter
def sum_of(numbers_in_a_row: Sequence[int]) -> int:
    """Add up the bars of a strip."""
    return sum(numbers_in_a_row)


@register.filter
def spaced(span: str) -> str:
    """Write `24h` as `24 h`."""
    return f"{span[:-1]}{numbers.SPACE}{span[-1:]}"


@register.filter
def over(part: int, whole: int) -> float:
    """Return a share between 0 and 1, for a meter; of nothing it is 0."""
    return part / whole if whole else 0.0


@register.filter
def percent(share: float) -> str:
    """Write a share as a number of percent, one place below ten."""
    return f"{share * 100:.1f}" if share < ONE_PLACE_BELOW else f"{share * 100:.0f}"


@register.filter
def offset(seconds: float) -> str:
    """Write when a step began, counted from the start of its run: `71.1 s`, `12:04`."""
    return f"{seconds:.1f}{numbers.SPACE}s" if seconds < LONG_S else numbers.clock(seconds)


@register.filter
def duration_ms(milliseconds: float | None) -> str:
    """Write a duration that is kept in milliseconds."""
    return numbers.duration(None if milliseconds is None else milliseconds / 1_000)


@register.filter
def utc(moment: datetime | None) -> SafeString | str:
    """Write a time in UTC, with its date unless it is today's."""
    if moment is None:
        return numbers.NONE
    return format_html('<time datetime="{}">{}</time>', moment.isoformat(), numbers.utc_time(moment, timezone.now()))


@register.filter
def ago(moment: datetime | None) -> SafeString | str:
    """Write how long ago it was; a script keeps it ticking."""
    if moment is None:
        return numbers.NONE
    return format_html(
        '<time datetime="{}" data-ago>{}</time>', moment.isoformat(), numbers.ago(moment, timezone.now())
    )


@register.simple_tag
def took(start: datetime | None, end: datetime | None) -> SafeString | str:
    """Write how long a run took as `1:14`; while it has no end, a script keeps it ticking."""
    if start is None:
        return numbers.NONE
    if end is None:
        seconds = timezone.now() - start
        return format_html('<time datetime="{}" data-since>{}</time>', start.isoformat(), numbers.clock(seconds))
    return numbers.clock(end - start)
