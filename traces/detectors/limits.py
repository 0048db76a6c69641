"""What a threshold may be: read off the typed fields of a detector, for forms, the API and whatever checks them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec.inspect import FloatType, IntType, Metadata, StructType, type_info

from traces.detectors.base import Detector

# The ending of a threshold's name is its unit.
UNITS = {
    "s": "seconds",
    "usd": "US dollars",
    "tokens": "tokens",
    "steps": "steps",
    "calls": "calls",
    "changes": "changes",
    "stamps": "approvals",
    "repeats": "times",
    "errors": "times",
    "unchanged": "times",
    "visits": "times",
    "steady": "calls",
    "old": "calls",
    "points": "points",
    "similarity": "share",
    "share": "share",
}
Number = int | float


class ThresholdError(ValueError):
    """Raised for a threshold that is none, or out of its range; `name` is it, `says` what would be right."""

    def __init__(self, name: str, says: str) -> None:
        super().__init__(f"{name}: {says}")
        self.name = name
        self.says = says


@dataclass(frozen=True)
class Limit:
    """One threshold of a detector: what it is by default, and between what it may be set."""

    name: str
    default: Number
    is_whole: bool
    least: Number | None = None
    above: Number | None = None  # it must be more than this
    most: Number | None = None
    below: Number | None = None  # it must be less than this
    off: Number | None = None  # at this number it looks at nothing

    @property
    def unit(self) -> str:
        return UNITS.get(self.name.rpartition("_")[2], "")

    @property
    def usual(self) -> str:
        return self.said(self.default)

    def said(self, number: Number) -> str:
        """Write a number of this threshold; of one that turns it off, what it means."""
        return f"{written(number)} (off)" if number == self.off else written(number)

    @property
    def allowed(self) -> str:
        """The range in words: `2 to 50`, `more than 0, at most 10`."""
        if self.least is not None and self.most is not None:
            return f"{written(self.least)} to {written(self.most)}"
        bounds = {"more than": self.above, "at least": self.least, "less than": self.below, "at most": self.most}
        return ", ".join(f"{word} {written(bound)}" for word, bound in bounds.items() if bound is not None)

    @property
    def right(self) -> str:
        """What would be right, as a sentence."""
        what = "A whole number" if self.is_whole else "A number"
        return f"{what}, {self.allowed or 'of any size'}; the default is {self.usual}."


def limits(kind: type[Detector]) -> list[Limit]:
    """Return the thresholds of a detector, in the order of its code."""
    info = type_info(kind.Thresholds)
    found = []
    for field in info.fields if isinstance(info, StructType) else ():
        number, off = field.type, None
        if isinstance(number, Metadata):
            off = (number.extra or {}).get("off")
            number = number.type
        if not isinstance(number, IntType | FloatType):
            raise TypeError(f"{kind.name()}.{field.name} is no number.")
        bounds = {"least": number.ge, "above": number.gt, "most": number.le, "below": number.lt}
        found.append(Limit(field.name, field.default, isinstance(number, IntType), off=off, **bounds))
    return found


def checked(kind: type[Detector], given: Mapping[str, Any]) -> dict[str, Number]:
    """Return those of the given thresholds that are not the default, as numbers of the right type.

    Raises ThresholdError for the first that is wrong.
    """
    known = {limit.name: limit for limit in limits(kind)}
    for name, value in given.items():
        if name not in known:
            raise ThresholdError(name, f"{kind.name()} has no such threshold; it has {', '.join(known) or 'none'}.")
        try:
            if isinstance(value, bool):
                raise msgspec.ValidationError
            msgspec.convert({name: value}, kind.Thresholds)
        except msgspec.ValidationError:
            raise ThresholdError(name, known[name].right) from None
    numbers = msgspec.structs.asdict(msgspec.convert(dict(given), kind.Thresholds))
    return {name: numbers[name] for name in given if numbers[name] != known[name].default}


def usable(kind: type[Detector], stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the thresholds that a project once set which this code still knows and takes.

    One that was renamed or narrowed since counts as not set, instead of failing every look at a trace.
    """
    found: dict[str, Any] = {}
    for name, value in stored.items():
        try:
            found |= checked(kind, {name: value})
        except ThresholdError:
            continue
    return found


def written(number: Number) -> str:
    """Write a number as people do: `20,000,000`, `0.8`."""
    return f"{number:,}" if isinstance(number, int) or not number.is_integer() else f"{number:,.0f}"
