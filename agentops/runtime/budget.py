"""What a run may use: steps, tokens, money and time; what is used up ends it."""

from decimal import Decimal
from typing import Any

import msgspec


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of a run. Time in which a person was asked does not count."""

    max_steps: int = 40
    max_tokens: int = 200_000
    max_cost_usd: Decimal = Decimal(2)
    max_wall_s: float = 3_600.0


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """What a run has used so far."""

    steps: int = 0
    tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    wall_s: float = 0.0


def exceeded(budget: Budget, spent: Spent) -> str | None:
    """Say in one sentence which limit is reached, or None."""
    if spent.steps >= budget.max_steps:
        return f"The budget of {budget.max_steps} steps is used up."
    if spent.tokens >= budget.max_tokens:
        return f"The budget of {budget.max_tokens:,} tokens is used up."
    if spent.cost_usd >= budget.max_cost_usd:
        return f"The budget of ${budget.max_cost_usd:.2f} is used up."
    if spent.wall_s >= budget.max_wall_s:
        return f"The budget of {budget.max_wall_s:g} s is used up."
    return None


def table(budget: Budget, spent: Spent) -> dict[str, dict[str, Any]]:
    """Return each limit with what is used of it, as the API shows it."""
    return {
        "steps": {"used": spent.steps, "limit": budget.max_steps},
        "tokens": {"used": spent.tokens, "limit": budget.max_tokens},
        "cost_usd": {"used": float(spent.cost_usd), "limit": float(budget.max_cost_usd)},
        "wall_s": {"used": round(spent.wall_s, 1), "limit": budget.max_wall_s},
    }
