"""Starts the sandbox: on a socket that the parent holds (`--fd`), or on a port of this machine (`--port`)."""

import argparse
import signal
import socket
import sys
from pathlib import Path
from types import FrameType

from agentops.runtime.sandbox.server import Sandbox
from agentops.runtime.sandbox.state import State

HOST = "127.0.0.1"


def main() -> int:
    parser = argparse.ArgumentParser("python -m agentops.runtime.sandbox", description=__doc__)
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--fd", type=int, help="a listening socket that was inherited")
    place.add_argument("--port", type=int, help="a port of this machine; 0 takes a free one")
    parser.add_argument("--data-dir", type=Path, required=True, help="where sandbox.sqlite is kept")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)
    door = socket.create_server((HOST, options.port)) if options.fd is None else socket.socket(fileno=options.fd)
    with Sandbox(door, State(options.data_dir / "sandbox.sqlite")) as server:
        sys.stdout.write(f"listening on {server.url}\n")
        sys.stdout.flush()
        server.serve_forever()
    return 0


def _end(_number: int, _frame: FrameType | None) -> None:
    """End at once: everything that was answered is committed."""
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main())
