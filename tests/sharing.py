"""How two processes share the tests: by file, the long ones first, and what uses one installation in one process."""

from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

# Packages whose files share an installation. They wait much, so one of them at a time: the other process computes.
TOGETHER = ("tests/crash/", "tests/browser/", "tests/embedded/")
# Few tests that take long: begun late, they would leave the other process idle at the end. The second begins with what
# needs no prepared installation, which the first is making then.
LONG_FIRST = (
    "tests/crash/",
    "tests/embedded/",
    "tests/browser/",
    "tests/notify/test_under_fire.py",
    "tests/web/test_browser.py",
    "tests/routes/",
    "tests/traces/test_import.py",
    "tests/detectors/test_a_new_detector.py",
    "tests/detectors/test_fold.py",
)


class Sharing(LoadFileScheduling):
    """Gives each process a file at a time, or one of the packages above, in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return next(filter(nodeid.startswith, TOGETHER), super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    if config.getoption("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False  # the files with the most tests first
    return Sharing(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Bring the long files to the front, after the order of all was shuffled."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: rank(item.nodeid))


def rank(nodeid: str) -> int:
    return next((place for place, start in enumerate(LONG_FIRST) if nodeid.startswith(start)), len(LONG_FIRST))
