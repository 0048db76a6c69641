"""Installations that start in half the time: each is a copy of one that was made once for this run of the tests."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.instance import Instance, manage


@contextmanager
def prepared_instance(**environ: str) -> Iterator[Instance]:
    """A start on a data directory of its own that was used before, stopped and removed at the end.

    Its people, passwords and key are those of every such instance of this run; its port and address are its own.
    """
    with tempfile.TemporaryDirectory(prefix="agentops-instance-") as home:
        data_dir = Path(home) / "data"
        # Files of its own, never links: tests break them.
        shutil.copytree(_original(), data_dir)
        with Instance(data_dir, **environ) as instance:
            yield instance


def _original() -> Path:
    """Return the directory to copy; whoever of the run's processes asks first makes it."""
    place = Path(os.environ["AGENTOPS_DATA_DIR"]) / "instance"  # of this run, whose end removes it
    unfinished = place.with_suffix(".unfinished")
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            shutil.rmtree(unfinished, ignore_errors=True)
            # Any command that uses data makes the installation, and has stopped its services when it ends.
            made = manage("shell", "-c", "pass", AGENTOPS_DATA_DIR=str(unfinished))
            assert made.returncode == 0, made.stderr
            unfinished.rename(place)
    return place
