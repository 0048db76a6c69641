"""A whole running installation in a folder of its own, whose processes a test may kill at any moment."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg

from agentops.env import Env

CHECKOUT = Path(__file__).resolve().parents[2]
START_WITHIN_S = 90.0
STOP_WITHIN_S = 15.0

# A word of the command line that tells each part of `up` from the others.
PARTS = {"web": "uvicorn", "worker": "worker", "sweeper": "sweep", "broker": "valkey-server", "postgres": "postgres"}


class Stack:
    """`manage.py up` on a data directory, with the probe jobs of the tests among its apps.

    with Stack(tmp_path) as stack:
        stack.kill("worker")
        stack.query("SELECT count(*) FROM probe_probejob")
    """

    def __init__(self, home: Path, *, environ: Mapping[str, str] | None = None) -> None:
        self.home = home
        self.log = home / "up.log"
        self.environ = {
            **{name: value for name, value in os.environ.items() if not _is_setting(name)},
            "AGENTOPS_NO_BOOTSTRAP": "1",
            "AGENTOPS_DATA_DIR": str(home),
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            **(environ or {}),
        }

    def __enter__(self) -> Self:
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.up = self.start("up", "--port", "0", "--no-browser", stdout=log, stderr=log)
        try:
            self.wait_until(lambda: self.up.poll() is not None or self._is_whole(), START_WITHIN_S)
            if self.up.poll() is not None:
                raise AssertionError(f"`up` ended: {self.said()}")
        except BaseException:
            self.up.kill()
            self.up.wait()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is not None:
            sys.stderr.write(self.said())
        self.up.send_signal(signal.SIGTERM)
        try:
            code = self.up.wait(STOP_WITHIN_S)
        finally:
            self.up.kill()
        if kind is None:
            assert code == 0, self.said()
            self._expect_no_process()

    def _expect_no_process(self) -> None:
        end = time.monotonic() + 2
        while (left := self.processes()) and time.monotonic() < end:
            time.sleep(0.05)
        assert not left, [(pid, _parent(pid), _command_line(pid)) for pid in left]

    @property
    def credentials(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.home / "credentials.json").read_text(encoding="utf-8"))
        return found

    @property
    def url(self) -> str:
        return str(self.credentials["url"])

    @property
    def api_key(self) -> str:
        return str(self.credentials["api_key"])

    def said(self, lines: int = 60) -> str:
        """The last lines of all the logs."""
        return "".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)[-lines:])

    def start(self, *command: str, **streams: Any) -> "subprocess.Popen[Any]":
        """Start a `manage.py` command on this installation."""
        manage = [sys.executable, str(CHECKOUT / "manage.py")]
        return subprocess.Popen([*manage, *command], env=self.environ, cwd=CHECKOUT, **streams)

    def run_module(self, module: str, *arguments: str, **streams: Any) -> "subprocess.Popen[Any]":
        """Start a Python module with this installation's settings, as a client beside it."""
        return subprocess.Popen([sys.executable, "-m", module, *arguments], env=self.environ, cwd=CHECKOUT, **streams)

    def pid(self, part: str) -> int | None:
        """The process of a part, a direct child of `up`; None while there is none."""
        for pid in _pids():
            words, parent = _command_line(pid), _parent(pid)
            if parent == self.up.pid and any(Path(word).name == PARTS[part] for word in words):
                return pid
        return None

    def kill(self, part: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to a part, as soon as it runs; return its process id. The broker loses its data by SIGKILL."""
        found: list[int] = []

        def is_there() -> bool:
            if pid := self.pid(part):
                found.append(pid)
            return bool(found)

        self.wait_until(is_there, 20)
        if part == "broker" and number == signal.SIGKILL:
            # The files go first: once it is dead it may be started again before we come to them.
            shutil.rmtree(self.home / "broker", ignore_errors=True)
        os.kill(found[0], number)
        return found[0]

    def query(self, sql: str, params: Sequence[object] | None = None) -> list[tuple[Any, ...]]:
        """Rows of one statement, on a connection of its own."""
        sockets = Env(agentops_data_dir=str(self.home)).socket_dir
        with psycopg.connect(host=str(sockets), dbname="agentops", user="agentops", connect_timeout=3) as connection:
            cursor = connection.execute(sql, params)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    def is_ready(self) -> bool:
        request = urllib.request.Request(f"{self.url}/readyz")  # noqa: S310 - our own address
        try:
            with urllib.request.urlopen(request, timeout=2) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except (OSError, urllib.error.HTTPError):
            return False

    def wait_until(self, is_so: Callable[[], object], seconds: float) -> None:
        """Wait until something is so. While Postgres is away it is not. Raises AssertionError with the logs."""
        end = time.monotonic() + seconds
        while not _holds(is_so):
            assert time.monotonic() < end, f"not so after {seconds} s; the logs end:\n{self.said()}"
            time.sleep(0.05)

    def wait_until_whole(self, seconds: float = 20) -> None:
        """Wait until all parts run and web answers."""
        self.wait_until(self._is_whole, seconds)

    def processes(self) -> list[int]:
        """Every process that was given this data directory, `up` and its children and theirs."""
        mark = os.fsencode(f"AGENTOPS_DATA_DIR={self.home}")
        return [pid for pid in _pids() if mark in _read(pid, "environ").split(b"\0")]

    def _is_whole(self) -> bool:
        return (self.home / "credentials.json").exists() and all(map(self.pid, PARTS)) and self.is_ready()


def _is_setting(name: str) -> bool:
    return name.startswith(("AGENTOPS_", "DATABASE_URL", "BROKER_URL", "PYTEST_"))


def _holds(is_so: Callable[[], object]) -> bool:
    try:
        return bool(is_so())
    except psycopg.Error:
        return False


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def _command_line(pid: int) -> list[str]:
    # The broker writes its title over it, as one word.
    return os.fsdecode(_read(pid, "cmdline").replace(b"\0", b" ")).split()


def _parent(pid: int) -> int | None:
    after_name = _read(pid, "stat").rpartition(b") ")[2].split()
    return int(after_name[1]) if after_name else None
