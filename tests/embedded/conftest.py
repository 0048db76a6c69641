"""One first start for all that is asked of a running installation from outside."""

from collections.abc import Iterator

import pytest

from tests.instance import Instance, fresh_instance


@pytest.fixture(scope="package")
def running() -> Iterator[Instance]:
    """An `up` on a directory that was not there; tests that break it wait until it is whole again."""
    with fresh_instance() as instance:
        yield instance
