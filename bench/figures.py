"""What a bench gives back: figures, each beside the limit measured in the same run, and how they are printed."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One measured value. `limit` is what the same machine could do at best in the same minute, or what is promised."""

    name: str
    value: float
    unit: str
    limit: float | None = None

    def line(self) -> str:
        """Write it with three significant digits, the limit and the ratio of the two beside it."""
        beside = "" if self.limit is None else f"  limit {_number(self.limit)}  ratio {self.value / self.limit:.2f}"
        return f"  {self.name:<46} {_number(self.value):>9} {self.unit:<15}{beside}"


def show(title: str, figures: Iterable[Figure]) -> None:
    print(title)
    for figure in figures:
        print(figure.line())


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that so large a share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def median(values: Iterable[float]) -> float:
    return statistics.median(values)


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
