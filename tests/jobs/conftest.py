"""What the job tests share: a broker of their own, which they may stop, and a way to wait."""

import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agentops.celery import app
from agentops.embedded.broker import Broker
from agentops.embedded.process import stop
from agentops.jobs import wake as waking


class OwnBroker:
    def __init__(self, home: Path) -> None:
        self._broker = Broker(home, home)
        self._log = (home / "log").open("wb")
        self.url = f"redis+socket://{self._broker.socket}"
        self.start()

    def start(self) -> None:
        self.process: subprocess.Popen[bytes] = self._broker.launch(output=self._log.fileno())
        assert within(5, self._broker.is_ready)

    def end(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        stop(self.process, signal.SIGKILL, timeout_s=5)

    def close(self) -> None:
        self.end()
        self._log.close()

    def take(self, queue: str) -> list[tuple[str, list[str]]]:
        """Take what waits in a queue: kind and ids of each message."""
        with app.connection_for_read(self.url) as connection, connection.channel() as channel:
            messages = iter(lambda: channel.basic_get(queue, no_ack=True), None)
            return [tuple(message.decode()[0]) for message in messages]


def within(seconds: float, is_so: Callable[[], object]) -> bool:
    """Wait until something is so, and return whether it came to be."""
    end = time.monotonic() + seconds
    while not (so := is_so()) and time.monotonic() < end:
        time.sleep(0.02)
    return bool(so)


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnBroker]:
    # The name of a socket is short, and pytest's own folders are not.
    with tempfile.TemporaryDirectory() as home:
        own = OwnBroker(Path(home))
        monkeypatch.setattr(app.conf, "broker_write_url", own.url)
        yield own
        own.close()


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> waking.Publisher:
    monkeypatch.setattr(waking, "PAUSE_S", 0.5)
    fresh = waking.Publisher()
    monkeypatch.setattr(waking, "publisher", fresh)
    return fresh
