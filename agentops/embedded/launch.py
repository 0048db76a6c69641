"""Run as a script between a parent and its server: dies with the parent, leaves root, then becomes the server.

    python -I -S launch.py PARENT_PID SIGNAL as-is|not-root COMMAND…

A script of its own and not a `preexec_fn`, which is not safe once the parent has threads. Standard library only.
"""

import ctypes
import os
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000
# An exit code that no server uses: the parent turns it into a sentence for the person.
NO_NAMESPACE = 78


def main() -> None:
    parent, signal_number, identity, *command = sys.argv[1:]
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if identity == "not-root" and os.geteuid() == 0:
            leave_root(libc)
        # After leaving root: a change of credentials clears it.
        die_with(libc, int(parent), int(signal_number))
    os.execv(command[0], command)  # noqa: S606 - becoming the server is the point


def die_with(libc: ctypes.CDLL, parent: int, signal_number: int) -> None:
    """Get a signal when the parent's thread ends; exit if it has ended already."""
    libc.prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)


def leave_root(libc: ctypes.CDLL) -> None:
    """Enter a user namespace where we are nobody. Postgres refuses root, and this needs no new user and no chmod."""
    if libc.unshare(CLONE_NEWUSER) != 0:
        sys.exit(NO_NAMESPACE)
    try:
        for name, text in (("setgroups", "deny"), ("uid_map", "65534 0 1"), ("gid_map", "65534 0 1")):
            Path("/proc/self", name).write_text(text, encoding="ascii")
    except OSError:
        sys.exit(NO_NAMESPACE)


if __name__ == "__main__":
    main()
