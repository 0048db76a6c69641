"""What the runtime's tests share: a project with somebody who decides, and an agent that plays a script."""

from pathlib import Path

import pytest

from tests.builders import make_project
from tests.runtime.running import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(make_project(), tmp_path / "outside")
