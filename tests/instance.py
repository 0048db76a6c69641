"""A real `manage.py up` in a data directory of its own, for tests that come through the front door."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agentops.embedded.process import spawn

CHECKOUT = Path(__file__).resolve().parent.parent
READY_TIMEOUT_S = 90.0
# What this run of the tests set for itself.
NOT_INHERITED = ("DATABASE_URL", "BROKER_URL", "AGENTOPS_", "DJANGO_", "PYTEST_")
HERE_IS_PYTHON = {"AGENTOPS_NO_BOOTSTRAP": "1"}


def clean_environment(**more: str) -> dict[str, str]:
    """The environment of a person who starts AgentOps in a fresh shell."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)}
    return {**kept, **HERE_IS_PYTHON, **more}


def manage(*arguments: str | Path, cwd: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, as in a fresh shell where these variables are set."""
    command = [sys.executable, str(CHECKOUT / "manage.py"), *map(str, arguments)]
    environment = clean_environment(**environ)
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment, cwd=cwd)


class Instance:
    """One data directory, and the `up` that runs on it."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.process: subprocess.Popen[bytes] | None = None
        self.url = ""
        self.link = ""

    @property
    def output(self) -> str:
        """What the last start wrote, stdout and stderr."""
        return (self.data_dir.parent / f"{self.data_dir.name}.out").read_text(encoding="utf-8", errors="replace")

    @property
    def credentials(self) -> dict[str, Any]:
        return json.loads((self.data_dir / "credentials.json").read_text(encoding="utf-8"))

    def launch(self, *options: str, **environment: str) -> None:
        """Start `up` and return at once. It dies with this process."""
        command = [sys.executable, str(CHECKOUT / "manage.py"), "up", "--data-dir", str(self.data_dir)]
        with self.data_dir.with_name(f"{self.data_dir.name}.out").open("wb") as file, changed_environment(environment):
            self.process = spawn([*command, "--port", "0", *options], output=file.fileno())

    def start(self, *options: str, **environment: str) -> None:
        """Start `up` and wait until it says that it is ready."""
        self.launch(*options, **environment)
        assert wait_until(lambda: self._is_ready() or not self.runs, READY_TIMEOUT_S), self.output
        assert self.runs, self.output
        said = dict(
            line.split(": ", 1) for line in self.output.splitlines() if line.startswith(("AgentOps", "Sign in"))
        )
        self.url, self.link = said["AgentOps is ready"], said["Sign in, once and within 10 minutes"]

    def _is_ready(self) -> bool:
        # One write: what follows the first line is there with it.
        return "AgentOps is ready" in self.output

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """Kill `up` itself with -9, and wait until the last of its processes has gone."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> float:
        """Stop it as Ctrl-C does and return how many seconds that took."""
        if self.process is None:
            return 0.0
        begin = time.monotonic()
        if self.runs:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        return time.monotonic() - begin

    def get(self, path: str, *, key: str = "") -> int:
        """Ask and return the status; 0 when there is no answer."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=30)
        try:
            connection.request("GET", path, headers=headers)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()

    def processes(self) -> dict[int, str]:
        """Every living process that works for this data directory, with its command line."""
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                command = (entry / "cmdline").read_bytes()
                told = command + (entry / "environ").read_bytes() + os.fsencode((entry / "cwd").readlink())
            except OSError:
                continue
            # A zombie has no command line.
            if command and os.fsencode(self.data_dir) in told and int(entry.name) != os.getpid():
                found[int(entry.name)] = command.replace(b"\0", b" ").decode(errors="replace")
        return found

    def find(self, words: str) -> list[int]:
        """Return the processes whose command line has these words, the parent first."""
        return sorted(pid for pid, command in self.processes().items() if words in command)


class changed_environment:  # noqa: N801 - reads as a phrase
    """Start with a person's environment while the block runs."""

    def __init__(self, more: Mapping[str, str]) -> None:
        self.wanted = clean_environment(**more)

    def __enter__(self) -> None:
        self.saved = dict(os.environ)
        os.environ.clear()
        os.environ.update(self.wanted)

    def __exit__(self, *_: object) -> None:
        os.environ.clear()
        os.environ.update(self.saved)


def wait_until(condition: Callable[[], object], timeout_s: float) -> bool:
    """Wait for a condition; False when it did not come true in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
