"""Starts the parts of a running `up` in order, starts again what dies, and stops all in reverse order."""

import os
import selectors
import signal
import socket
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from types import FrameType
from typing import Any, Protocol

from agentops.embedded.output import Lines, write_line
from agentops.embedded.process import ServiceError, why_not

# A part that dies this soon after its start will not get better by starting it for ever.
YOUNG_S = 5.0
YOUNG_DEATHS_MAX = 5
TICK_S = 0.5
POLL_S = 0.05


class StoppedError(Exception):
    """Raised inside a wait when someone asked us to stop."""


class Process(Protocol):
    """What we ask of a process: a subprocess.Popen, or one that was forked from this one."""

    pid: int
    returncode: Any  # the exit code, once poll() has returned it

    def poll(self) -> int | None: ...
    def send_signal(self, number: int, /) -> None: ...
    def kill(self) -> None: ...


class Launch(Protocol):
    """Starts one process, which writes to a file descriptor."""

    def __call__(self, *, output: int) -> Process: ...


@dataclass
class Part:
    """One process that we keep alive."""

    name: str
    launch: Launch
    is_ready: Callable[[Process], bool] = lambda _: True
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_s: float = 5.0
    # Parts of one stage stop together; the highest stage stops first.
    stage: int = 0
    # Words of lines that tell nobody anything.
    noise: Sequence[str] = ()
    # What may help when it died right after its start.
    mend: Callable[[], None] | None = None
    process: Process | None = None
    said: deque[str] = field(default_factory=deque)
    started_at: float = 0.0
    start_again_at: float | None = None
    young_deaths: int = 0


class Supervisor:
    """Runs in the main thread, which the kernel watches for our children."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.stop_asked = False
        self._selector = selectors.DefaultSelector()
        self._open: dict[int, Lines] = {}
        # A signal wakes the loop at once.
        wake, self._woken = socket.socketpair()
        for end in (wake, self._woken):
            end.setblocking(False)
        self._wake = wake
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            # Under nohup the end of the terminal is not the end of us.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._ask_to_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def _ask_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stop_asked = True

    def start(self, part: Part, *, timeout_s: float) -> None:
        """Start a part and wait until it is ready. Raises ServiceError, or StoppedError."""
        self.launch(part)
        self.wait_for(part, timeout_s=timeout_s)

    def launch(self, part: Part) -> None:
        """Start a part, and leave the waiting for later."""
        self.parts.append(part)
        self._launch(part)

    def wait_for(self, part: Part, *, timeout_s: float) -> None:
        """Wait until a part is ready. Raises ServiceError, or StoppedError."""
        process = part.process or self._launch(part)
        deadline = monotonic() + timeout_s
        while not part.is_ready(process):
            if process.poll() is not None:
                process = self._start_once_more(part, process.returncode)
            if monotonic() > deadline:
                raise ServiceError(f"{part.name.capitalize()} was not ready within {timeout_s:.0f} s.")
            self._pump_for(POLL_S)
            if self.stop_asked:
                raise StoppedError

    def _start_once_more(self, part: Part, code: int) -> Process:
        self._pump(0)
        if part.mend is None or part.young_deaths:
            raise ServiceError(why_not(code, "\n".join(part.said), part.name.capitalize()))
        part.young_deaths += 1
        part.mend()
        return self._launch(part)

    def run_once(self, name: str, launch: Launch) -> None:
        """Run a process to its end. Raises ServiceError when it fails, or StoppedError."""
        part = Part(name, launch, is_ready=lambda process: process.poll() == 0)
        self.start(part, timeout_s=3600)
        self._pump(0)
        self.parts.remove(part)

    def keep(self) -> None:
        """Keep all parts alive until someone asks us to stop. Raises ServiceError when one dies too often."""
        while not self.stop_asked:
            self._pump(TICK_S)
            for part in self.parts:
                self._look_after(part)

    def stop(self) -> None:
        """Stop what runs, the last stage first; what does not end in time is killed."""
        for stage in sorted({part.stage for part in self.parts}, reverse=True):
            running = [part for part in self.parts if part.stage == stage and part.process]
            for part in running:
                if part.process and part.process.poll() is None:
                    part.process.send_signal(part.stop_signal)
            deadline = monotonic() + max((part.stop_timeout_s for part in running), default=0)
            while any(part.process and part.process.poll() is None for part in running):
                if monotonic() > deadline:
                    _kill(running)
                self._pump(POLL_S)
        self._pump(0)

    def _look_after(self, part: Part) -> None:
        if part.process and part.process.poll() is not None:
            self._note_death(part, part.process.returncode)
        if part.start_again_at is not None and monotonic() >= part.start_again_at:
            part.start_again_at = None
            self._launch(part)

    def _note_death(self, part: Part, code: int) -> None:
        part.process = None
        if monotonic() - part.started_at >= YOUNG_S:
            part.young_deaths = 0
        elif part.young_deaths == YOUNG_DEATHS_MAX:
            raise ServiceError(f"{part.name} ended {YOUNG_DEATHS_MAX + 1} times right after its start; all is stopped.")
        else:
            part.young_deaths += 1
            if part.mend:
                part.mend()
        part.start_again_at = monotonic() + part.young_deaths * TICK_S
        write_line("agentops", f"{part.name} ended with code {code}; starting it again.")

    def _launch(self, part: Part) -> Process:
        lines = Lines(part.name, part.noise)
        try:
            part.process = process = part.launch(output=lines.writing_end)
        finally:
            os.close(lines.writing_end)
        part.said, part.started_at = lines.last, monotonic()
        self._open[lines.fd] = lines
        self._selector.register(lines.fd, selectors.EVENT_READ)
        return process

    def _pump_for(self, duration_s: float) -> None:
        """Pass on what the parts say meanwhile."""
        end = monotonic() + duration_s
        while not self.stop_asked and (left := end - monotonic()) > 0:
            self._pump(left)

    def _pump(self, timeout_s: float) -> None:
        """Pass on what the parts say, and sleep until one says something or a signal comes."""
        for key, _ in self._selector.select(timeout_s):
            lines = self._open.get(key.fd)
            if lines is None:
                self._woken.recv(4096)
            elif not lines.pump():
                self._selector.unregister(lines.fd)
                lines.close()
                del self._open[lines.fd]


def _kill(parts: list[Part]) -> None:
    for part in parts:
        if part.process and part.process.poll() is None:
            write_line("agentops", f"{part.name} does not stop; killing it.")
            part.process.kill()
