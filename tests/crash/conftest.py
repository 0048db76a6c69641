"""One running installation for all crash tests of a process, and the seeds of their rounds."""

import os
import random
from collections.abc import Iterator

import pytest

from tests.instance import Instance
from tests.prepared import prepared_instance

DEFAULT_ROUNDS = 2
ROUNDS = int(os.environ.get("CRASH_ROUNDS", DEFAULT_ROUNDS))
FIRST_SEED = int(os.environ.get("CRASH_SEED", random.SystemRandom().randrange(10**6)))


@pytest.fixture(scope="package")
def instance() -> Iterator[Instance]:
    """An `up` to be killed, with the probe jobs of the tests among its apps."""
    with prepared_instance(DJANGO_SETTINGS_MODULE="tests.settings") as running:
        yield running


@pytest.fixture(params=range(ROUNDS))
def seed(request: pytest.FixtureRequest) -> int:
    """The seed of a round; CRASH_SEED repeats it."""
    number: int = FIRST_SEED + request.param
    print(f"CRASH_SEED={number}")  # noqa: T201 - pytest shows it when the test fails
    return number
