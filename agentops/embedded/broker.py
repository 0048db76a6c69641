"""The embedded broker: a Valkey that listens on a socket only and keeps what it took on disk."""

import shutil
import signal
import socket
import subprocess
from pathlib import Path

from agentops.embedded.binaries import valkey_server
from agentops.embedded.process import spawn
from agentops.env import BROKER_SOCKET

STOP_SIGNAL = signal.SIGTERM  # writes what it holds to disk, then ends
# Advice for a large store of data that a machine is tuned for. Ours holds a few megabytes of wake-ups.
NOISE = ("Memory overcommit must be enabled", "Transparent Huge Pages")


class Broker:
    """One server with its data in `<home>/broker`, reached through a socket in `sockets`."""

    def __init__(self, home: Path, sockets: Path) -> None:
        self.data = home / "broker"
        self.socket = sockets / BROKER_SOCKET
        self.binary = valkey_server()

    def launch(self, *, output: int) -> subprocess.Popen[bytes]:
        """Start the server's process."""
        self.data.mkdir(mode=0o700, exist_ok=True)
        settings = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.data),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            # A full broker refuses messages, and the sweeper finds the work in Postgres; evicting would hide it.
            "maxmemory": "256mb",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            "loglevel": "warning",
        }
        flags = [part for name, value in settings.items() for part in (f"--{name}", value)]
        return spawn([self.binary, *flags], on_parent_death=STOP_SIGNAL, output=output)

    def forget(self) -> None:
        """Throw away what is kept on disk, which may be broken. It holds wake-ups; the work itself is in Postgres."""
        shutil.rmtree(self.data, ignore_errors=True)

    def is_ready(self) -> bool:
        """Say whether the server answers and has loaded its data."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(1)
                connection.connect(str(self.socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False
