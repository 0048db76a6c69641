"""The detectors there are: every marked class in a file of this folder, found by being there."""

import pkgutil
from functools import cache
from hashlib import blake2b
from importlib import import_module
from typing import Any

import msgspec

import traces.detectors as folder
from traces.detectors.base import Detector, Frozen, Mutable


@cache
def all_detectors() -> tuple[type[Detector], ...]:
    """Return the detector classes, ordered by name."""
    found: dict[str, type[Detector]] = {}
    for info in pkgutil.iter_modules(folder.__path__):
        if info.ispkg:
            continue
        module = import_module(f"{folder.__name__}.{info.name}")
        for value in vars(module).values():
            is_one = isinstance(value, type) and "__is_detector__" in vars(value)
            if is_one and found.setdefault(value.name(), value) is not value:
                raise LookupError(f"Two detectors are called {value.name()}.")
    return tuple(found[name] for name in sorted(found))


def fingerprint(kind: type[Detector], thresholds: dict[str, Any]) -> str:
    """Return what a saved state must agree with: the code's version and the thresholds in force."""
    return mark(kind, kind.Thresholds(**thresholds))


def mark(kind: type[Detector], thresholds: Frozen) -> str:
    """Return the fingerprint of a detector with its thresholds as they are in force."""
    numbers = msgspec.json.encode(thresholds, order="deterministic")
    return f"{kind.version}:{blake2b(numbers, digest_size=8).hexdigest()}"


@cache
def decoder(state: type[Mutable]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(state)
