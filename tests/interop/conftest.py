"""What the tests of clients share: a running product, a scripted model, and a client's program beside both."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.instance import Instance
from tests.interop import environment
from tests.interop.guide import ADDRESS, SESSION, Section
from tests.interop.model import scripted_model

APPS = Path(__file__).parent / "apps"
TIMEOUT_S = 120

Step = dict[str, Any]


@dataclass(frozen=True)
class Told:
    """A trace that a client told of, as the read API answers it."""

    trace: dict[str, Any]
    steps: list[Step]


Connect = Callable[..., list[Told]]


@pytest.fixture(scope="session")
def commands() -> Path:
    return environment.commands()


@pytest.fixture(scope="session")
def model() -> Iterator[str]:
    with scripted_model() as address:
        yield address


@pytest.fixture
def connect(instance: Instance, model: str, commands: Path, tmp_path: Path) -> Connect:
    """Run an agent that was connected as a section of the guide says; return the traces it told of, the first first."""

    def run(section: Section, app: str, **more: str) -> list[Told]:
        program = tmp_path / "program.py"
        program.write_text(f"{section.python}\n{(APPS / f'{app}.py').read_text()}")
        # A session of its own: lone calls of one session are one run.
        said = section.shell.replace(ADDRESS, instance.url).replace(SESSION, tmp_path.name)
        shell = f"set -eu\n{said}\nexec python {program}"
        environ = {
            "PATH": f"{commands}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "AGENTOPS_KEY": instance.api_key,
            "OPENAI_BASE_URL": f"{model}/v1",
            "OPENAI_API_KEY": "any",
            "ANTHROPIC_BASE_URL": model,
            "ANTHROPIC_API_KEY": "any",
            **more,
        }
        before = {trace["trace_id"] for trace in _get(instance, "traces")}
        ended = subprocess.run(
            ["sh", "-c", shell],
            env=environ,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert (ended.returncode, ended.stdout.splitlines()[-1:]) == (0, ["It is 7C and raining in Oslo."]), ended
        told = [trace for trace in _get(instance, "traces") if trace["trace_id"] not in before]
        assert told, ended.stderr
        told.sort(key=lambda trace: str(trace["started_at"]))
        return [Told(trace, _get(instance, f"traces/{trace['trace_id']}/steps")) for trace in told]

    return run


def _get(instance: Instance, path: str) -> list[dict[str, Any]]:
    with closing(HTTPConnection(instance.url.removeprefix("http://"), timeout=30)) as connection:
        connection.request("GET", f"/api/v1/{path}?limit=200", headers={"x-api-key": instance.api_key})
        found: list[dict[str, Any]] = json.load(connection.getresponse())["results"]
    return found
