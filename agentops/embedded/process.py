"""How we start a process so that it cannot outlive us, and stop it within a time."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from agentops.embedded.launch import NO_NAMESPACE

LAUNCH = Path(__file__).with_name("launch.py")


class ServiceError(Exception):
    """Raised when a service cannot be had; the message is one sentence for the person who starts it."""


def spawn(
    command: Sequence[str | Path],
    *,
    not_root: bool = False,
    on_parent_death: signal.Signals = signal.SIGKILL,
    stdin: int = subprocess.DEVNULL,
    output: int | None = None,
    keep: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a command that gets a signal when the calling thread ends; `keep` are file descriptors it inherits.

    The kernel watches the thread, not the process: call this from one that lives as long as the process does.
    """
    before = [sys.executable, "-I", "-S", str(LAUNCH), str(os.getpid()), str(int(on_parent_death))]
    return subprocess.Popen(
        [*before, "not-root" if not_root else "as-is", *map(str, command)],
        stdin=stdin,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
        pass_fds=keep,
        # Ctrl-C in a terminal goes to us alone: we stop the others in order.
        start_new_session=True,
    )


def stop(process: subprocess.Popen[bytes], sent: signal.Signals, *, timeout_s: float) -> None:
    """Ask a process to end, and kill it when that takes longer than `timeout_s`."""
    if process.poll() is None:
        process.send_signal(sent)
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def why_not(returncode: int, said: str, name: str) -> str:
    """Say in one sentence why a server did not start, from its exit code and what it said."""
    if returncode == NO_NAMESPACE:
        return (
            f"{name} refuses to run as root, and this machine does not let us leave root (user namespaces are off): "
            "start as another user, or set DATABASE_URL to a Postgres server."
        )
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if any(word in line for word in ("FATAL", "ERROR", "error:", "could not"))]
    last = (telling or lines or [f"it ended with code {returncode}"])[-1]
    return f"{name} did not start: {last.rstrip('.')}."
