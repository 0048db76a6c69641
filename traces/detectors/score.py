"""What a rule's verdicts are worth on labelled runs: counts, ratios, intervals."""

import math
from typing import Any

import msgspec

Z = 1.96  # of a 95 % interval


class Score(msgspec.Struct):
    """The counts of one row of the table; `n` counts runs, or calls where calls are scored."""

    n: int = 0
    positives: int = 0
    tp: int = 0
    fp: int = 0
    passed_runs: int = 0
    false_alarms_on_passed: int = 0

    @property
    def f1(self) -> float | None:
        return ratio(2 * self.tp, self.tp + self.fp + self.positives)

    def figures(self) -> dict[str, Any]:
        """Return the counts with what follows from them; a ratio without a denominator is null."""
        low, high = wilson(self.tp, self.positives)
        return {
            **msgspec.to_builtins(self),
            "fn": self.positives - self.tp,
            "precision": ratio(self.tp, self.tp + self.fp),
            "recall": ratio(self.tp, self.positives),
            "f1": self.f1,
            "ci_low": low,
            "ci_high": high,
        }


def ratio(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def wilson(hits: int, n: int) -> tuple[float | None, float | None]:
    """Return the 95 % interval of a share (of recall, here) by Wilson's score, 1927."""
    if not n:
        return None, None
    share, square = hits / n, Z * Z
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = Z * math.sqrt(share * (1 - share) / n + square / (4 * n * n)) / (1 + square / n)
    return round(max(middle - half, 0.0), 4), round(min(middle + half, 1.0), 4)
