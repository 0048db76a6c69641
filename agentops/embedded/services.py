"""Postgres and the broker for one command, or for one run of the tests: started, used, stopped."""

import signal
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

from agentops.embedded import broker, postgres
from agentops.embedded.process import ServiceError, stop, why_not


class Launch(Protocol):
    """Starts one server's process, which writes to a file descriptor."""

    def __call__(self, *, output: int) -> subprocess.Popen[bytes]: ...


class Services:
    """The embedded servers in `home` that are wanted; each writes what it says to `<home>/<name>.log`."""

    def __init__(self, home: Path, database: postgres.Postgres | None, messages: broker.Broker | None) -> None:
        self.home = home
        self.postgres = database
        self.broker = messages
        self._running: list[tuple[subprocess.Popen[bytes], signal.Signals]] = []

    def start(self, *, sync: bool = True) -> None:
        """Start them and wait until they answer. Raises ServiceError, with nothing left running."""
        try:
            if self.broker:
                server = self._launch("broker", self.broker.launch, broker.STOP_SIGNAL)
            if self.postgres:
                self.postgres.create(sync=sync)
                database = self._launch("postgres", self.postgres.launch, postgres.STOP_SIGNAL)
                self._wait("postgres", database, partial(self.postgres.is_ready, database.pid))
            if self.broker:
                self._wait("broker", server, self.broker.is_ready)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop what runs, the last started first."""
        while self._running:
            process, sent = self._running.pop()
            stop(process, sent, timeout_s=30)

    def _log(self, name: str) -> Path:
        return self.home / f"{name}.log"

    def _launch(self, name: str, launch: Launch, stop_signal: signal.Signals) -> subprocess.Popen[bytes]:
        with self._log(name).open("wb") as file:
            process = launch(output=file.fileno())
        self._running.append((process, stop_signal))
        return process

    def _wait(self, name: str, process: subprocess.Popen[bytes], ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + postgres.START_TIMEOUT_S
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                said = self._log(name).read_text(encoding="utf-8", errors="replace")
                raise ServiceError(why_not(process.returncode or 0, said, name.capitalize()))
            time.sleep(0.01)
