"""Numbers, times and ids are written one way everywhere."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from agentops.web import numbers
from agentops.web.numbers import NONE

NOW = datetime(2026, 3, 16, 14, 20, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (None, NONE), (0, "0.00 s"), (0.38, "0.38 s"), (9.999, "10.0 s"), (19.8, "19.8 s"), (59.96, "1 min 0 s"),
        (104, "1 min 44 s"), (3_599.6, "1 h 0 min"), (7_500, "2 h 5 min"), (timedelta(days=3, hours=4), "3 d 4 h"),
    ],
)  # fmt: skip
def test_durations(seconds: float | timedelta | None, written: str) -> None:
    assert numbers.duration(seconds).replace("\u00a0", " ") == written


@pytest.mark.parametrize(
    ("seconds", "written"), [(74, "1:14"), (0.4, "0:00"), (3_723, "1:02:03"), (-5, "0:00"), (None, NONE)]
)
def test_clocks(seconds: float | None, written: str) -> None:
    assert numbers.clock(seconds) == written


@pytest.mark.parametrize(
    ("usd", "written"),
    [
        (4180, "$4,180.00"),
        (Decimal("0.212"), "$0.212"),
        (0, "$0.00"),
        (Decimal("0.0001"), "<$0.001"),
        (None, NONE),
    ],
)
def test_money(usd: Decimal | None, written: str) -> None:
    assert numbers.money(usd) == written


@pytest.mark.parametrize(
    ("usd", "unpriced", "written"),
    [
        (Decimal("0.12"), 0, "$0.120"),
        (Decimal("0.12"), 2, "at least $0.120"),
        (Decimal(0), 0, "$0.00"),
        (Decimal(0), 1, "unknown"),
        (None, 1, "unknown"),
        (None, 0, NONE),
    ],
)
def test_a_cost_says_what_is_not_known_of_it(usd: Decimal | None, unpriced: int, written: str) -> None:
    assert numbers.cost(usd, unpriced) == written
    assert numbers.short_cost(usd, unpriced) == written.replace("at least ", "≥")


@pytest.mark.parametrize(
    ("n", "written"), [(812, "812"), (61_234, "61.2k"), (999_960, "1.0M"), (4_100_000, "4.1M"), (None, NONE)]
)
def test_compact_counts(n: int | None, written: str) -> None:
    assert numbers.compact(n) == written


@pytest.mark.parametrize(("octets", "written"), [(41, "41 B"), (64_000, "64 kB"), (9_800_000, "9.8 MB")])
def test_sizes(octets: int, written: str) -> None:
    assert numbers.size(octets).replace("\u00a0", " ") == written


def test_ids_are_cut_in_the_middle() -> None:
    assert numbers.short_id("4f1c0d7b-e2a9-4c53-4f1c-0d7be2a94c53") == "4f1c…4c53"
    assert numbers.short_id("s-20931") == "s20931"


@pytest.mark.parametrize(
    ("back", "written"),
    [(timedelta(), "14:20:02"), (timedelta(days=1), "15 Mar 14:20:02"), (timedelta(days=400), "2025-02-09 14:20")],
)
def test_times_carry_their_date_unless_it_is_today(back: timedelta, written: str) -> None:
    assert numbers.utc_time(NOW - back, NOW) == written


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(4, "4 s ago"), (190, "3 min ago"), (7_300, "2 h ago"), (500_000, "5 d ago"), (-3, "0 s ago")],
)
def test_how_long_ago(seconds: int, written: str) -> None:
    assert numbers.ago(NOW - timedelta(seconds=seconds), NOW).replace("\u00a0", " ") == written
