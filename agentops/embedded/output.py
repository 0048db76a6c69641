"""What the parts of a running `up` say, line by line, each with its name in front."""

import os
import select
import sys
from collections import deque
from collections.abc import Sequence

NAME_WIDTH = 8
LAST_LINES = 30
# A pipe that select() calls writable takes this much without blocking.
PIPE_BUF = 4096
COLOURS = {
    "postgres": 34,
    "broker": 35,
    "prepare": 33,
    "web": 32,
    "worker": 36,
    "sweeper": 96,
    "sandbox": 37,
    "agentops": 1,
}


def write_line(name: str, line: str) -> None:
    """Write to stderr. A reader that has stopped reading loses lines, and stops nobody's work."""
    label = f"{name:<{NAME_WIDTH}} |"
    if sys.stderr.isatty():
        label = f"\033[{COLOURS.get(name, 0)}m{label}\033[0m"
    data = f"{label} {line}\n".encode(errors="replace")
    fd = sys.stderr.fileno()
    while data:
        _, writable, _ = select.select([], [fd], [], 0)
        if not writable:
            return
        try:
            data = data[os.write(fd, data[:PIPE_BUF]) :]
        except OSError:
            return


class Lines:
    """The reading end of one process's output."""

    def __init__(self, name: str, noise: Sequence[str] = ()) -> None:
        self.name = name
        self.noise = noise
        self.fd, self.writing_end = os.pipe()
        os.set_blocking(self.fd, False)
        self.last: deque[str] = deque(maxlen=LAST_LINES)
        self._rest = b""

    def pump(self) -> bool:
        """Pass on what is there. False once the process and its children have closed their end."""
        try:
            data = os.read(self.fd, 65_536)
        except BlockingIOError:
            return True
        *lines, self._rest = (self._rest + data).split(b"\n")
        if not data and self._rest:
            lines, self._rest = [self._rest], b""
        for line in lines:
            self.last.append(text := line.decode(errors="replace").rstrip("\r"))
            if not any(words in text for words in self.noise):
                write_line(self.name, text)
        return bool(data)

    def close(self) -> None:
        os.close(self.fd)
