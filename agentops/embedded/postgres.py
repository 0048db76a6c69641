"""The embedded Postgres: how a cluster is made, how its server starts, is found ready, and stops."""

import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from agentops.embedded.binaries import postgres_bin, postgres_major
from agentops.embedded.process import ServiceError, spawn, why_not

USER = DATABASE = "agentops"
BUILTIN_LOCALE_SINCE = 17

# Small, because it shares a laptop with the rest; nothing here trades safety for speed.
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "max_logical_replication_workers": "0",
    # Both cost more than they save on short queries: to start two processes takes longer than nearly all of them.
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    # What agents and people wrote belongs in tables: no key, row or statement goes into a log.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_line_prefix": "",
}
IO_METHOD_SINCE = 18
IO_METHOD = {"io_method": "sync"}  # three helper processes fewer

STOP_SIGNAL = signal.SIGINT  # a fast shutdown: sessions end at once, the cluster is clean

# A killed server's last processes need a moment to notice.
PREVIOUS_TIMEOUT_S = 30.0
# Recovery after a crash may be long.
START_TIMEOUT_S = 300.0


class Postgres:
    """One cluster in `<home>/pg`, reached through a socket in `sockets`."""

    def __init__(self, home: Path, sockets: Path, *, settings: Mapping[str, str] | None = None) -> None:
        self.data = home / "pg"
        self.sockets = sockets
        self.bin = postgres_bin()
        self.major = postgres_major(self.bin)
        self.settings = {**SETTINGS, **(IO_METHOD if self.major >= IO_METHOD_SINCE else {}), **(settings or {})}

    def create(self, *, sync: bool = True) -> bool:
        """Make the cluster and say so, unless it is there. Interrupted at any moment, it starts anew the next time."""
        if self.data.exists():
            self._check_version()
            return False
        unfinished = self.data.with_name("pg.init")
        wait_until_unused(unfinished)
        shutil.rmtree(unfinished, ignore_errors=True)
        # The built-in locale behaves the same on every system; older versions have only the system's own.
        builtin = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        locale = builtin if self.major >= BUILTIN_LOCALE_SINCE else ["--locale=C.UTF-8"]
        options = ["-U", USER, "-A", "trust", "-E", "UTF8", *locale, *([] if sync else ["--no-sync"])]
        self._run([self.bin / "initdb", "-D", unfinished, *options])
        self._run([self.bin / "postgres", "--single", "-D", unfinished, "postgres"], said=f"CREATE DATABASE {DATABASE}")
        unfinished.rename(self.data)
        return True

    def _run(self, command: Sequence[str | Path], *, said: str = "") -> None:
        process = spawn(command, not_root=True, stdin=subprocess.PIPE, output=subprocess.PIPE)
        output, _ = process.communicate(said.encode())
        if process.returncode:
            raise ServiceError(why_not(process.returncode, output.decode(errors="replace"), "Postgres"))

    def _check_version(self) -> None:
        try:
            found = int((self.data / "PG_VERSION").read_text(encoding="ascii"))
        except (OSError, ValueError) as error:
            raise ServiceError(f"{self.data} is not a Postgres cluster: {error}.") from None
        if found != self.major:
            raise ServiceError(
                f"{self.data} was made by Postgres {found} and this is Postgres {self.major}: set AGENTOPS_PG_BIN "
                f"to the binaries of Postgres {found}, or move the data with pg_dump."
            )

    def launch(self, *, output: int) -> subprocess.Popen[bytes]:
        """Start the server's process, after the last one of this cluster has gone. The caller holds the lock."""
        wait_until_unused(self.data)
        # Left by a crash. Its process id may be someone else's by now, and Postgres would believe it.
        for stale in (self.data / "postmaster.pid", self.sockets / ".s.PGSQL.5432.lock"):
            stale.unlink(missing_ok=True)
        settings = {"unix_socket_directories": str(self.sockets), **self.settings}
        flags = [flag for name, value in settings.items() for flag in ("-c", f"{name}={value}")]
        command: list[str | Path] = [self.bin / "postgres", "-D", self.data, *flags]
        return spawn(command, not_root=True, on_parent_death=STOP_SIGNAL, output=output)

    def is_ready(self, pid: int) -> bool:
        """Say whether the server with this process id takes connections. Reads a file, costs no connection."""
        try:
            lines = (self.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except OSError:
            return False
        return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready"


def wait_until_unused(directory: Path) -> None:
    """Wait until no process works in the directory, as every process of a Postgres does. Raises ServiceError."""
    deadline = time.monotonic() + PREVIOUS_TIMEOUT_S
    while pids := _working_in(directory.resolve()):
        if time.monotonic() > deadline:
            raise ServiceError(f"Process {pids[0]} still uses {directory}: stop it, then start again.")
        time.sleep(0.05)


def _working_in(directory: Path) -> list[int]:
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if link.readlink() == directory:
                found.append(int(link.parent.name))
        except OSError:
            continue
    return found
