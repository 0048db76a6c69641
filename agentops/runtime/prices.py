"""What models cost, in US dollars for a million tokens, as published in October 2026."""

from decimal import Decimal
from typing import NamedTuple


class Price(NamedTuple):
    input: Decimal
    output: Decimal
    cached: Decimal  # input that is read from the cache


# Writing to the cache, for five minutes, costs a quarter more than plain input.
CACHE_WRITE = Decimal("1.25")
MILLION = Decimal(1_000_000)


def _price(input_usd: str, output_usd: str, cached_usd: str) -> Price:
    return Price(Decimal(input_usd), Decimal(output_usd), Decimal(cached_usd))


# A model whose price depends on the length of the request has no row, and so no known cost.
PRICES = {
    "simulated": _price("0", "0", "0"),
    "claude-opus-5-5": _price("4", "20", "0.20"),
    "claude-opus-5": _price("5", "25", "0.50"),
    "claude-opus-4-8": _price("5", "25", "0.50"),
    "claude-opus-4-7": _price("5", "25", "0.50"),
    "claude-opus-4-6": _price("5", "25", "0.50"),
    "claude-opus-4-5": _price("5", "25", "0.50"),
    "claude-sonnet-5-5": _price("2", "10", "0.20"),
    "claude-sonnet-5": _price("2", "10", "0.20"),
    "claude-sonnet-4-6": _price("3", "15", "0.30"),
    "claude-sonnet-4-5": _price("3", "15", "0.30"),
    "claude-haiku-4-5": _price("1", "5", "0.10"),
}
DATE_LENGTH = len("-20251001")


def cost_usd(model: str, *, plain: int, written: int, cached: int, output: int) -> Decimal | None:
    """Return the cost of one answer, from its tokens; None for a model whose price we do not know."""
    price = PRICES.get(model) or PRICES.get(_without_date(model))
    if price is None:
        return None
    tokens = price.input * (plain + written * CACHE_WRITE) + price.cached * cached + price.output * output
    return tokens / MILLION


def _without_date(model: str) -> str:
    name, date = model[:-DATE_LENGTH], model[-DATE_LENGTH:]
    return name if date[:1] == "-" and date[1:].isdecimal() else model
