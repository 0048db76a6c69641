"""No text makes a regular expression of ingest or detection slow: each takes linear time, whatever it is shown."""

import importlib
import pkgutil
import re
import time
from collections.abc import Iterator

import pytest

from traces import detectors, ingest

SIZE = 100_000
CHECK_S = 2  # of CPU: a hundred times what is needed, and less than something quadratic takes
SEEDS = [
    "a",
    "0",
    "a0",
    "_",
    " ",
    "-",
    "'\"",
    '"',
    "\\",
    '\\"',
    "{",
    ",[",
    "\\u00e9",
    "\\ud83d",
    '"id":"msg_',
    '"trace_id" ',
]


def patterns() -> Iterator[tuple[str, re.Pattern[str] | re.Pattern[bytes]]]:
    for package in (ingest, detectors):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if "migrations" in found.name or "management" in found.name:
                continue
            for name, value in vars(importlib.import_module(found.name)).items():
                if isinstance(value, re.Pattern):
                    yield f"{found.name}.{name}", value


FOUND = dict(sorted(patterns()))


@pytest.mark.parametrize("name", FOUND)
def test_a_pattern_reads_any_text_in_linear_time(name: str) -> None:
    pattern = FOUND[name]
    for seed in SEEDS:
        for end in ("", "!"):
            text = (seed * SIZE)[:SIZE] + end
            began = time.process_time()
            if isinstance(pattern.pattern, bytes):
                sum(1 for _ in pattern.finditer(text.encode()))  # type: ignore[arg-type]
            else:
                sum(1 for _ in pattern.finditer(text))  # type: ignore[arg-type]
            assert time.process_time() - began < CHECK_S, (seed, end)


def test_there_are_patterns_to_look_at() -> None:
    assert {"traces.ingest.clean._ESCAPES", "traces.ingest.bulk._SEPARATOR"} <= FOUND.keys()
