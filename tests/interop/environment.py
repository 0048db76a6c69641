"""The clients' own environment, `.venv-interop`: made from requirements-interop.txt, and again when that changes."""

import fcntl
import shutil
from hashlib import sha256
from pathlib import Path

import manage
from tests.instance import CHECKOUT

REQUIREMENTS = CHECKOUT / "requirements-interop.txt"
VENV = CHECKOUT / ".venv-interop"


def commands() -> Path:
    """Return the directory that has the clients' `python`. Raises manage.BootstrapError where it cannot be made."""
    stamp, wanted = VENV / "installed", sha256(REQUIREMENTS.read_bytes()).hexdigest()
    with VENV.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process of this run of the tests may be making it
        if not stamp.is_file() or stamp.read_text() != wanted:
            shutil.rmtree(VENV, ignore_errors=True)
            manage.make_venv(VENV)
            manage.install(REQUIREMENTS, VENV, "--no-compile")  # most of it is never imported
            stamp.write_text(wanted)
    return VENV / "bin"
