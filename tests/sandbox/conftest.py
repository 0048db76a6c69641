"""One sandbox for the tests of a file, which each of them finds without faults."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox.running import Running, running


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(Path(tmp_path_factory.mktemp("sandbox"))) as one:
        yield one


@pytest.fixture
def sandbox(process: Running, monkeypatch: pytest.MonkeyPatch) -> Running:
    """A sandbox that the settings of this process name, with no key for a real model."""
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "ANTHROPIC_CUSTOM_HEADERS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AGENTOPS_SANDBOX_URL", process.url)
    for place in ("v1", "payments", "mail"):
        process.faults(place)
    return process
