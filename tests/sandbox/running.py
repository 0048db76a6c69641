"""A real sandbox process for tests, on a socket that outlives it, as `up` starts it."""

import http.client
import json
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from agentops.embedded import sandbox
from agentops.embedded.process import stop
from tests.instance import wait_until


class Running:
    """One sandbox: ask it, set its faults, kill it and start it again."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.door = sandbox.bind()
        self.url = sandbox.url(self.door)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.home / "sandbox.out").open("ab") as said:
            self.process = sandbox.launch(self.door, self.home, output=said.fileno())
        assert wait_until(lambda: sandbox.is_ready(self.door), 20), (self.home / "sandbox.out").read_text()

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Send one request; status 0 when no answer came back."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with closing(http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=20)) as connection:
            try:
                data = None if body is None else json.dumps(body)
                connection.request(method, path, data, {"Content-Type": "application/json", **named})
                answer = connection.getresponse()
                return answer.status, json.loads(answer.read())
            except (OSError, http.client.HTTPException):
                return 0, None

    def faults(self, place: str, *faults: dict[str, Any]) -> None:
        """Say what the next requests to `v1`, `payments` or `mail` shall meet."""
        status, answer = self.ask("PUT", f"/{place}/faults", {"faults": faults})
        assert status == 200, answer

    def effects(self, place: str, key: str = "") -> dict[str, Any]:
        """Return what happened there: count, requests, effects."""
        found = self.ask("GET", f"/{place}/effects{f'?key={key}' if key else ''}")[1]
        assert isinstance(found, dict)
        return found


@contextmanager
def running(home: Path) -> Iterator[Running]:
    one = Running(home)
    with closing(one.door):
        one.start()
        try:
            yield one
        finally:
            assert one.process
            stop(one.process, sandbox.STOP_SIGNAL, timeout_s=5)
