"""Postgres and the broker for one command, or for one run of the tests: started, used, stopped."""

import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from agentops.embedded import broker, postgres
from agentops.embedded.process import ServiceError, stop, why_not


class Launch(Protocol):
    """Starts one server's process, which writes to a file descriptor."""

    def __call__(self, *, output: int) -> subprocess.Popen[bytes]: ...


class Services:
    """The two embedded servers in `home`; each writes what it says to `<home>/<name>.log`."""

    def __init__(self, home: Path, sockets: Path, *, postgres_settings: Mapping[str, str] | None = None) -> None:
        self.home = home
        self.postgres = postgres.Postgres(home, sockets, settings=postgres_settings)
        self.broker = broker.Broker(home, sockets)
        self._running: list[tuple[subprocess.Popen[bytes], signal.Signals]] = []

    def start(self, *, sync: bool = True) -> None:
        """Start both and wait until they answer. Raises ServiceError, with nothing left running."""
        try:
            server = self._launch("broker", self.broker.launch)
            self._running.append((server, broker.STOP_SIGNAL))
            self.postgres.create(sync=sync)
            database = self._launch("postgres", self.postgres.launch)
            self._running.append((database, postgres.STOP_SIGNAL))
            self._wait("postgres", database, lambda: self.postgres.is_ready(database.pid))
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

    def _launch(self, name: str, launch: Launch) -> subprocess.Popen[bytes]:
        with self._log(name).open("wb") as file:
            return launch(output=file.fileno())

    def _wait(self, name: str, process: subprocess.Popen[bytes], ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + postgres.START_TIMEOUT_S
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                said = self._log(name).read_text(encoding="utf-8", errors="replace")
                raise ServiceError(why_not(process.returncode or 0, said, name.capitalize()))
            time.sleep(0.01)
