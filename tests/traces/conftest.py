"""What the tests of this room share."""

import pytest

from tests.builders import make_project
from tests.traces.api import Api


@pytest.fixture
def api() -> Api:
    return Api(make_project())
