"""What a model call costs where its sender does not say: an estimate, from its tokens and the published prices.

The prices are data of the package genai-prices, which is never asked to fetch newer ones. They are loaded with the
first call that needs them, and what a name stands for is looked up once.
"""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

from traces.ingest.dialects.base import MODEL
from traces.ingest.record import SpanRecord

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider, TieredPrices

MILLION = Decimal(1_000_000)
NANO = Decimal("1e-9")  # of a dollar: as exact as the rows are, so that sums of rows and sums on the way are equal
KNOWN = 4_096  # pairs of provider and model that a process remembers
NEW_AT_MOST = 100  # of them looked up for one batch, at up to 6 ms: names that a sender makes up cost little
# Names of the conventions for generative AI that the package does not know.
SAME = {"azure.ai.inference": "azure", "gcp.gen_ai": "google", "x_ai": "x-ai", "moonshot_ai": "moonshotai"}
# What stands for no provider: a framework or a proxy that reports itself.
BETWEEN = frozenset({"", "langchain", "langgraph", "litellm", "_other", "unknown"})
PROTOCOL = "openai"  # many speak its protocol, and are reported as it


class Tokens(NamedTuple):
    """What a call used. `input` holds those that were read from a cache and written to it."""

    input: int
    output: int
    cached: int = 0
    written: int = 0


class Call(Protocol):
    """What an estimate is made of, in a record and in a row alike."""

    @property
    def event_type(self) -> str | None: ...
    @property
    def model(self) -> str | None: ...
    @property
    def provider(self) -> str | None: ...
    @property
    def started_at(self) -> datetime: ...
    @property
    def input_tokens(self) -> int | None: ...
    @property
    def output_tokens(self) -> int | None: ...
    @property
    def cached_tokens(self) -> int | None: ...
    @property
    def cache_written_tokens(self) -> int | None: ...
    @property
    def cost_usd(self) -> Decimal | None: ...


class Rate(NamedTuple):
    """US dollars a token; `steps` are (more input tokens than, dollars), highest first: all tokens then cost that."""

    usd: Decimal
    steps: tuple[tuple[int, Decimal], ...] = ()

    def at(self, input_tokens: int) -> Decimal:
        return next((usd for above, usd in self.steps if input_tokens > above), self.usd)


class Rates(NamedTuple):
    """The prices of a model at one time; without one of its own, what a cache holds costs what plain input costs."""

    input: Rate
    output: Rate | None
    cached: Rate
    written: Rate
    request: Decimal

    def usd(self, tokens: Tokens) -> Decimal | None:
        cache = tokens.cached + tokens.written
        # A cache larger than the input shows that the input was given without it.
        total = tokens.input if cache <= tokens.input else tokens.input + cache
        if self.output is None and tokens.output:
            return None
        usd = self.request + self.input.at(total) * (total - cache)
        if self.output is not None:
            usd += self.output.at(total) * tokens.output
        if cache:
            usd += self.cached.at(total) * tokens.cached + self.written.at(total) * tokens.written
        return usd


def money(usd: float) -> Decimal:
    """Return what a sender gives, as exact as it is stored."""
    return Decimal(repr(usd)).quantize(NANO)


class Estimator:
    """Prices the calls of one batch."""

    def __init__(self) -> None:
        self.new_names = 0

    def estimate(self, call: Call) -> Decimal | None:
        """Return what a model call costs; None where its sender says so, or not how much it used, and of what.

        None too for a model without a known price. That is not zero: nobody knows what it costs.
        """
        if call.cost_usd is not None or call.event_type != MODEL or not call.model:
            return None
        if call.input_tokens is None or call.output_tokens is None:
            return None
        tokens = Tokens(call.input_tokens, call.output_tokens, call.cached_tokens or 0, call.cache_written_tokens or 0)
        return self.price(call.model, tokens, provider=call.provider, at=call.started_at)

    def price(self, model: str, tokens: Tokens, *, provider: str | None, at: datetime) -> Decimal | None:
        """Return what these tokens of a model cost at a time, in US dollars; None where no price is known."""
        for is_active, rates in self._prices(provider or "", model):
            if is_active is None or is_active(at):
                usd = rates.usd(tokens) if rates else None
                return None if usd is None else usd.quantize(NANO)
        return None

    def _prices(self, provider: str, model: str) -> "Prices":
        found = _known.get((provider, model))
        if found is None:
            self.new_names += 1
            if self.new_names > NEW_AT_MOST:
                return ()
            if len(_known) >= KNOWN:
                _known.clear()
            found = _known[provider, model] = _look_up(provider.strip().lower(), model.lower())
        return found


def price(model: str, tokens: Tokens, *, provider: str, at: datetime) -> Decimal | None:
    """Return what these tokens of a model cost at a time, in US dollars; None where no price is known."""
    return Estimator().price(model, tokens, provider=provider, at=at)


def estimated(spans: list[SpanRecord]) -> list[SpanRecord]:
    """Return the spans of a batch with an estimate for each model call whose sender gives no cost."""
    estimator = Estimator()
    return [
        msgspec.structs.replace(span, estimated_usd=usd)
        if span.event_type == MODEL and (usd := estimator.estimate(span)) is not None
        else span
        for span in spans
    ]


# Prices of a model, each with what says whether it holds at a time; the first that does counts.
Prices = tuple[tuple[Callable[[datetime], bool] | None, Rates | None], ...]
_known: dict[tuple[str, str], Prices] = {}


@cache
def _providers() -> "list[Provider]":
    """Return all providers. Imported here because it takes megabytes, which not all processes need."""
    from genai_prices.data import providers

    return providers


def _look_up(provider: str, model: str) -> Prices:
    found = _find(SAME.get(provider, provider), model)
    if found is None:
        return ()
    if not isinstance(found.prices, list):
        return ((None, _rates(found.prices)),)
    # The last that holds counts; where none does, the first.
    in_turn = [(one.constraint.active if one.constraint else None, _rates(one.prices)) for one in found.prices]
    return (*reversed(in_turn), *((None, rates) for _, rates in in_turn[:1]))


def _find(provider: str, model: str) -> "ModelInfo | None":
    """Return a model of a provider, or, where none is named, of the one that its name tells."""
    from genai_prices.data_snapshot import find_provider_by_id

    if provider not in BETWEEN:
        seller = find_provider_by_id(_providers(), provider)
        # The AI SDK names the interface too, `groq.chat`.
        seller = seller or find_provider_by_id(_providers(), provider.partition(".")[0])
        if (
            seller is None
        ):  # somebody else, or a machine of one's own: the model's name does not say what it costs there
            return None
        found = seller.find_model(model, all_providers=_providers())
        if found is not None or seller.id != PROTOCOL:
            return found
    return _find_by_name(model)


def _find_by_name(model: str) -> "ModelInfo | None":
    from genai_prices.data_snapshot import find_provider_by_id

    if ":" in model:  # `name:size`, as programs that run models on one's own machine have it
        return None
    makers = [maker for maker in _providers() if maker.model_match and maker.model_match.is_match(model)]
    head, _, tail = model.partition("/")
    seller = find_provider_by_id(_providers(), head) if tail else None
    asked = [*((maker, model) for maker in makers), *([(seller, tail)] if seller else [])]
    found = (one.find_model(name, all_providers=_providers()) for one, name in asked)
    return next((info for info in found if info is not None), None)


def _rates(prices: "ModelPrice") -> Rates | None:
    """Return the prices for tokens; None where there are none, as for models that are paid by the hour."""
    if prices.input_mtok is None:
        return None
    plain = _rate(prices.input_mtok)
    return Rates(
        input=plain,
        output=None if prices.output_mtok is None else _rate(prices.output_mtok),
        cached=plain if prices.cache_read_mtok is None else _rate(prices.cache_read_mtok),
        written=plain if prices.cache_write_mtok is None else _rate(prices.cache_write_mtok),
        request=Decimal(0) if prices.requests_kcount is None else _rate(prices.requests_kcount, Decimal(1_000)).usd,
    )


def _rate(price: "Decimal | TieredPrices", per: Decimal = MILLION) -> Rate:
    if isinstance(price, Decimal):
        return Rate(price / per)
    highest_first = sorted(price.tiers, key=lambda tier: tier.start, reverse=True)
    return Rate(price.base / per, tuple((tier.start, tier.price / per) for tier in highest_first))
