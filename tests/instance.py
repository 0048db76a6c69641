"""A real `manage.py up` in a data directory of its own, whose parts a test may ask, watch and kill."""

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg

from agentops.embedded.process import spawn
from agentops.env import Env

CHECKOUT = Path(__file__).resolve().parent.parent
READY_TIMEOUT_S = 90.0
# What this run of the tests set for itself.
NOT_INHERITED = ("DATABASE_URL", "BROKER_URL", "AGENTOPS_", "DJANGO_", "PYTEST_")
# A word of the command line that tells each child of `up` from the others.
PARTS = {
    "web": "web",
    "worker": "worker",
    "sweeper": "sweeper",
    "sandbox": "agentops.runtime.sandbox",
    "broker": "valkey-server",
    "postgres": "postgres",
}
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
    """One data directory, and the `up` that runs on it.

    with Instance(tmp_path / "data") as instance:
        instance.kill("worker")
        instance.query("SELECT count(*) FROM traces_span")
    """

    def __init__(self, data_dir: Path, **environ: str) -> None:
        self.data_dir = data_dir
        self.log = data_dir.with_name(f"{data_dir.name}.out")
        self.environ = {"AGENTOPS_DATA_DIR": str(data_dir), "DJANGO_SETTINGS_MODULE": "agentops.settings"}
        self.environ |= {"AGENTOPS_DRILL_EVERY_S": "0", **environ}  # what a test counts, nothing else may raise
        self.process: subprocess.Popen[bytes] | None = None
        self.url = ""
        self.link = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.stop()
        if kind is None:
            assert self.process
            assert self.process.returncode == 0, self.said()
            assert wait_until(lambda: not self.processes(), 2), self.processes()

    @property
    def output(self) -> str:
        """What the last start wrote, stdout and stderr."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def said(self, lines: int = 60) -> str:
        """The last lines of the output."""
        return "\n".join(self.output.splitlines()[-lines:])

    @property
    def credentials(self) -> dict[str, Any]:
        return json.loads((self.data_dir / "credentials.json").read_text(encoding="utf-8"))

    @property
    def api_key(self) -> str:
        return str(self.credentials["api_key"])

    def launch(self, *options: str, **environ: str) -> None:
        """Start `up` and return at once. It dies with this process."""
        self.log.write_bytes(b"")
        command = [sys.executable, str(CHECKOUT / "manage.py"), "up", "--port", "0", *options]
        # Others may write there too.
        with self.log.open("ab") as file, changed_environment({**self.environ, **environ}):
            self.process = spawn(command, output=file.fileno())

    def start(self, *options: str, **environ: str) -> None:
        """Start `up` and wait until it says that it is ready."""
        self.launch(*options, **environ)
        try:
            self.wait_until(lambda: self._is_ready() or not self.runs, READY_TIMEOUT_S)
            assert self.runs, self.output
        except BaseException:
            self.kill("up")
            raise
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

    def stop(self) -> float:
        """Stop it as Ctrl-C does and return how many seconds that took."""
        if self.process is None:
            return 0.0
        begin = time.monotonic()
        if self.runs:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        return time.monotonic() - begin

    def command(self, *words: str, **streams: Any) -> "subprocess.Popen[Any]":
        """Start a `manage.py` command on this installation."""
        return self._beside([str(CHECKOUT / "manage.py"), *words], streams)

    def run_module(self, module: str, *arguments: str, **streams: Any) -> "subprocess.Popen[Any]":
        """Start a Python module with this installation's settings, as a client beside it."""
        return self._beside(["-m", module, *arguments], streams)

    def _beside(self, command: list[str], streams: dict[str, Any]) -> "subprocess.Popen[Any]":
        environ = clean_environment(**self.environ)
        return subprocess.Popen([sys.executable, *command], env=environ, cwd=CHECKOUT, **streams)

    def pid(self, part: str) -> int | None:
        """The process of a part, a direct child of `up`, the first of several; None while there is none."""
        return next(iter(self.pids(part)), None)

    def pids(self, part: str) -> list[int]:
        """All processes of a part; only web has more than one."""
        assert self.process
        return [pid for pid in _pids() if _parent(pid) == self.process.pid and PARTS[part] in _words(pid)]

    def children(self, part: str) -> list[int]:
        """The processes that a part has started itself."""
        parent = self.pid(part)
        return [pid for pid in _pids() if parent is not None and _parent(pid) == parent]

    def kill(self, part: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to a part, as soon as it runs; return its process id. The broker loses its data by SIGKILL.

        Kill `up` itself by that name, and wait until it has ended.
        """
        if part == "up":
            assert self.process
            self.process.kill()
            self.process.wait()
            return self.process.pid
        found: list[int] = []

        def is_there() -> bool:
            if pid := self.pid(part):
                found.append(pid)
            return bool(found)

        self.wait_until(is_there, 20)
        if part == "broker" and number == signal.SIGKILL:
            # The files go first: once it is dead it may be started again before we come to them.
            shutil.rmtree(self.data_dir / "broker", ignore_errors=True)
        os.kill(found[0], number)
        return found[0]

    def connect(self) -> "psycopg.Connection[tuple[Any, ...]]":
        sockets = Env(agentops_data_dir=str(self.data_dir)).socket_dir
        return psycopg.connect(host=str(sockets), dbname="agentops", user="agentops", connect_timeout=3)

    @property
    def sandbox_url(self) -> str:
        """Where the children of `up` were told that the sandbox listens."""
        names = dict(pair.partition(b"=")[::2] for pair in _read(self.pid("sandbox") or 0, "environ").split(b"\0"))
        return names[b"AGENTOPS_SANDBOX_URL"].decode()

    def query(self, sql: str, params: Sequence[object] | None = None) -> list[tuple[Any, ...]]:
        """Rows of one statement, on a connection of its own."""
        with self.connect() as connection:
            cursor = connection.execute(sql, params)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

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

    def wait_until(self, is_so: Callable[[], object], timeout_s: float) -> None:
        """Wait until something is so. While Postgres is away it is not. Raises AssertionError with the output."""
        assert wait_until(lambda: _holds(is_so), timeout_s), f"not so after {timeout_s} s; it said:\n{self.said()}"

    def wait_until_whole(self, timeout_s: float = 20) -> None:
        """Wait until all parts run, web answers, and those who work off jobs have said that they do."""
        self.wait_until(self._is_whole, timeout_s)

    def _is_whole(self) -> bool:
        if not all(map(self.pid, PARTS)) or self.get("/readyz") != http.HTTPStatus.OK:
            return False
        at_work = set(self.query("SELECT kind, pid FROM jobs_process"))
        return {(part, self.pid(part)) for part in ("worker", "sweeper")} <= at_work

    def processes(self) -> dict[int, str]:
        """Every living process that works for this data directory, with its command line."""
        found = {}
        for pid in _pids():
            command = _read(pid, "cmdline")
            try:
                cwd = os.fsencode(Path(f"/proc/{pid}/cwd").readlink())
            except OSError:
                continue
            # A zombie has no command line.
            if command and os.fsencode(self.data_dir) in command + _read(pid, "environ") + cwd and pid != os.getpid():
                found[pid] = command.replace(b"\0", b" ").decode(errors="replace")
        return found


@contextmanager
def fresh_instance(**environ: str) -> Iterator[Instance]:
    """A first start in a temporary directory, stopped and removed at the end."""
    with (
        tempfile.TemporaryDirectory(prefix="agentops-instance-") as home,
        Instance(Path(home) / "data", **environ) as instance,
    ):
        yield instance


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


def _words(pid: int) -> list[str]:
    """The words of a command line, of paths the last name; the broker writes its title over its own, as one word."""
    return [Path(word).name for word in os.fsdecode(_read(pid, "cmdline").replace(b"\0", b" ")).split()]


def _parent(pid: int) -> int | None:
    after_name = _read(pid, "stat").rpartition(b") ")[2].split()
    return int(after_name[1]) if after_name else None


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
