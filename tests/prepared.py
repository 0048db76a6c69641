"""Installations that start in half the time: each is a copy of one that was made once for this run of the tests."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.instance import Instance, manage

COUNT = "from agentops.accounts.models import Project; print('projects:', Project.objects.count())"
HARD_TO_NAME = "a place with spaces, ünïcode and a very long name that no socket address could ever hold"


@contextmanager
def prepared_instance(**environ: str) -> Iterator[Instance]:
    """A start on a data directory of its own that was used before, stopped and removed at the end.

    Its people, passwords and key are those of every such instance of this run; its port and address are its own.
    """
    with (
        tempfile.TemporaryDirectory(prefix="agentops-instance-") as home,
        # One web process: what a test kills, no other stands in for.
        Instance(copy_of_original(Path(home) / "data"), **{"AGENTOPS_WEB_PROCESSES": "1", **environ}) as instance,
    ):
        yield instance


def copy_of_original(data_dir: Path) -> Path:
    """Make a data directory in which a command has run before; nothing runs on it."""
    # Files of its own, never links: tests break them.
    shutil.copytree(original(), data_dir)
    return data_dir


def original() -> Path:
    """Return the directory to copy; whoever of the run's processes asks first makes it."""
    place = Path(os.environ["AGENTOPS_DATA_DIR"]) / "instance"  # of this run, whose end removes it
    unfinished = place.with_name(HARD_TO_NAME) / "data"
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            shutil.rmtree(unfinished, ignore_errors=True)
            # Any command that uses data makes the installation, and has stopped its services when it ends.
            made = manage("shell", "-c", COUNT, "--data-dir", unfinished)
            assert made.returncode == 0, made.stderr
            place.with_suffix(".said").write_text(made.stdout, encoding="utf-8")
            unfinished.rename(place)
    return place


def what_made_it_said() -> list[str]:
    """Return the lines that the command wrote to stdout which made the original."""
    return original().with_suffix(".said").read_text(encoding="utf-8").splitlines()
