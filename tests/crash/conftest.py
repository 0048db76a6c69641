"""One running installation for all crash tests of a process, and the seeds of their rounds."""

import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.harness import Stack

ROUNDS = int(os.environ.get("CRASH_ROUNDS", "3"))
FIRST_SEED = int(os.environ.get("CRASH_SEED", random.SystemRandom().randrange(10**6)))


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    with tempfile.TemporaryDirectory(prefix="crash-") as home, Stack(Path(home) / "data") as running:
        yield running


@pytest.fixture(params=range(ROUNDS))
def seed(request: pytest.FixtureRequest) -> int:
    """The seed of a round; CRASH_SEED repeats it."""
    number: int = FIRST_SEED + request.param
    print(f"CRASH_SEED={number}")  # noqa: T201 - pytest shows it when the test fails
    return number
