"""The sandbox of `up`: a scripted model, a payment provider and a mail server, on a port of this machine alone."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

from agentops.embedded.process import spawn

HOST = "127.0.0.1"
START_TIMEOUT_S = 30.0
STOP_SIGNAL = signal.SIGTERM  # what was answered is committed, so it ends at once


def bind() -> socket.socket:
    """Take a free port and keep it: while the sandbox starts again, callers wait and are not refused."""
    return socket.create_server((HOST, 0), backlog=128)


def url(door: socket.socket) -> str:
    return f"http://{HOST}:{door.getsockname()[1]}"


def launch(door: socket.socket, home: Path, *, output: int) -> subprocess.Popen[bytes]:
    """Start the server's process on the socket that we hold."""
    command = [sys.executable, "-m", "agentops.runtime.sandbox", "--fd", str(door.fileno()), "--data-dir", str(home)]
    return spawn(command, output=output, keep=[door.fileno()])


def is_ready(door: socket.socket) -> bool:
    """Say whether the server answers."""
    try:
        with socket.socket() as connection:
            connection.settimeout(1)
            connection.connect(door.getsockname())
            connection.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
            return connection.recv(16).startswith(b"HTTP/1.1 200")
    except OSError:
        return False
