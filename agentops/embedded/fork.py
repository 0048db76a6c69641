"""Parts of `up` that are forked from it: it has read the code once, so they start in a moment and share its memory.

A module named in LOADED opens no connection and starts no thread while it is imported.
"""

import ctypes
import gc
import importlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from agentops.embedded.launch import die_with

# What the parts run, and what they would import later: all but agentops.asgi, which starts threads.
LOADED = (
    "agentops.urls",
    "agentops.web.server",
    "agentops.jobs.worker",
    "agentops.jobs.sweeper",
    "celery.apps.worker",
    "celery.concurrency.prefork",
    "celery.worker.consumer",
    "kombu.transport.redis",
)
M_ARENA_MAX = -8
ARENAS = 2  # threads would keep one each; two cost nothing measurable and save tens of megabytes
ARG_START, ARG_END = 45, 46  # of /proc/<pid>/stat after the name, see proc(5)


def load() -> None:
    """Read the code that the parts run, once. Raises SettingsError, and whatever else an import may."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentops.settings")
    django.setup()
    for module in LOADED:
        importlib.import_module(module)
    # What nobody looks at for garbage stays shared.
    gc.collect()
    gc.freeze()


class Forked:
    """A process that was forked from this one; answers as subprocess.Popen does."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, negative where a signal ended it; None while it lives."""
        if self.returncode is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def fork(main: Callable[[], int], title: str, *, output: int, keep: Sequence[int] = ()) -> Forked:
    """Run a function in a process of its own, which gets its return value as exit code and dies with this thread.

    It has the file descriptor `output` as stdout and stderr, and of all others no more than `keep`. Raises
    RuntimeError where this process has other threads: what they hold would be locked in the new one for ever.
    """
    if threading.active_count() > 1:
        raise RuntimeError(f"a process with threads is not forked: {threading.enumerate()}")
    _flush()
    parent = os.getpid()
    if pid := os.fork():
        return Forked(pid)
    code = 1
    try:
        _leave(parent, output, keep)
        _show(title)
        code = main()
    except SystemExit as end:
        code = _exit_code(end)
    except BaseException:
        traceback.print_exc()
    finally:
        _flush()
        os._exit(code)  # what is further up the stack is the parent's business


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # nobody reads it any more
            stream.flush()


def _leave(parent: int, output: int, keep: Sequence[int]) -> None:
    """Share with the parent no signals, no terminal and no files."""
    os.setsid()
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        die_with(libc, parent, signal.SIGKILL)
        if hasattr(libc, "mallopt"):  # glibc's
            libc.mallopt(M_ARENA_MAX, ARENAS)
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    for fd in [int(entry.name) for entry in Path("/dev/fd").iterdir()]:
        if fd > 2 and fd not in keep:
            with suppress(OSError):  # the one of the list itself is closed by now
                os.close(fd)


def _show(title: str) -> None:
    """Have `ps` and `top` show a title in the place of the parent's command line, as far as there is room for it."""
    try:
        numbers = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace").rpartition(") ")[2].split()
        start, room = int(numbers[ARG_START]), int(numbers[ARG_END]) - int(numbers[ARG_START])
    except (OSError, IndexError, ValueError):
        return  # no Linux, or one that does not say
    if start and room > 0:
        ctypes.memmove(start, title.encode()[: room - 1].ljust(room, b"\0"), room)


def _exit_code(end: SystemExit) -> int:
    if end.code is None or isinstance(end.code, int):
        return end.code or 0
    sys.stderr.write(f"{end.code}\n")
    return 1
