"""How numbers, times and ids are written everywhere: durations, money, counts, UTC times, cut ids."""

from datetime import datetime, timedelta
from decimal import Decimal

SPACE = "\u00a0"  # a number and its unit stay on one line
NONE = "\u2013"
UNKNOWN = "unknown"


def duration(seconds: float | timedelta | None) -> str:
    """Return `0.38 s`, `19.8 s`, `1 min 44 s`, `2 h 5 min` or `3 d 4 h`."""
    if seconds is None:
        return NONE
    total = seconds.total_seconds() if isinstance(seconds, timedelta) else float(seconds)
    if total < 59.95:
        return f"{total:.2f}{SPACE}s" if total < 9.995 else f"{total:.1f}{SPACE}s"
    whole = round(total)
    for size, unit, below, below_unit in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min")):
        if whole >= size:
            return f"{whole // size:,}{SPACE}{unit}{SPACE}{whole % size // below}{SPACE}{below_unit}"
    return f"{whole // 60}{SPACE}min{SPACE}{whole % 60}{SPACE}s"


def clock(seconds: float | timedelta | None) -> str:
    """Return `1:14` or `1:02:03`: for run tables and countdowns only."""
    if seconds is None:
        return NONE
    whole = max(0, round(seconds.total_seconds() if isinstance(seconds, timedelta) else float(seconds)))
    hours, rest = divmod(whole, 3_600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def money(usd: Decimal | float | None) -> str:
    """Return `$4,180.00`; below one dollar three places, because a run costs cents."""
    if usd is None:
        return NONE
    if 0 < usd < Decimal("0.0005"):
        return "<$0.001"
    return f"${usd:,.3f}" if 0 < usd < 1 else f"${usd:,.2f}"


def cost(usd: Decimal | None, unpriced: int) -> str:
    """Return `$0.120`; `at least $0.120` where the cost of some calls is not known, `unknown` where of none."""
    if not unpriced:
        return money(usd)
    return f"at least {money(usd)}" if usd else UNKNOWN


def short_cost(usd: Decimal | None, unpriced: int) -> str:
    """Return the same for a cell of a table: `≥$0.120`."""
    return cost(usd, unpriced).replace("at least ", "≥")


def count(number: int | None) -> str:
    """Return `3,418`."""
    return NONE if number is None else f"{number:,}"


def compact(number: int | None) -> str:
    """Return `812`, `61.2k` or `4.1M`."""
    if number is None:
        return NONE
    if number < 1_000:
        return str(number)
    return f"{number / 1_000:.1f}k" if number < 999_950 else f"{number / 1_000_000:.1f}M"


def size(octets: int) -> str:
    """Return `41 B`, `64 kB` or `9.8 MB`."""
    if octets < 1_000:
        return f"{octets}{SPACE}B"
    if octets < 999_500:
        return f"{octets / 1_000:.0f}{SPACE}kB"
    return f"{octets / 1_000_000:.1f}{SPACE}MB"


def short_id(text: object) -> str:
    """Return the id cut in its middle, `4f1c…4c53`; the whole is what gets copied."""
    plain = str(text).replace("-", "")
    return plain if len(plain) <= 12 else f"{plain[:4]}…{plain[-4:]}"


def utc_time(moment: datetime, now: datetime) -> str:
    """Return `14:20:02` for today's times, `16 Mar 14:20:02` for this year's, else `2025-03-16 14:20`."""
    if moment.date() == now.date():
        return f"{moment:%H:%M:%S}"
    if moment.year == now.year:
        return f"{moment.day} {moment:%b %H:%M:%S}"
    return f"{moment:%Y-%m-%d %H:%M}"


def ago(moment: datetime, now: datetime) -> str:
    """Return `4 s ago`, `3 min ago`, `2 h ago` or `5 d ago`; static/js/time.js keeps it ticking with the same rule."""
    seconds = max(0, int((now - moment).total_seconds()))
    for limit, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= limit:
            return f"{seconds // limit:,}{SPACE}{unit} ago"
    return f"{seconds}{SPACE}s ago"
