"""The data directory: who may use it at a time, and the secrets made in it on the first start."""

import base64
import fcntl
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from agentops.embedded.process import ServiceError
from agentops.env import SECRET_NAMES, SECRETS_FILE, Env

CREDENTIALS_FILE = "credentials.json"


class Home:
    """One data directory. Its owner runs the services; guests are commands that use them meanwhile."""

    def __init__(self, env: Env) -> None:
        self.path = env.data_dir
        self.sockets = env.socket_dir
        self._lock: IO[str] | None = None

    def make(self) -> None:
        """Make the directories that are missing, for us alone. Raises ServiceError."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.sockets.mkdir(mode=0o700, exist_ok=True)
            if not os.access(self.path, os.W_OK | os.X_OK):
                raise PermissionError(0, "Permission denied")
        except OSError as error:
            raise ServiceError(
                f"The data directory {self.path} cannot be used ({error.strerror}): "
                "name one that can be written to with --data-dir or AGENTOPS_DATA_DIR."
            ) from None
        # The socket directory may be in a shared temporary directory, where someone else could have made it first.
        found = self.sockets.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise ServiceError(f"{self.sockets} is not a directory of ours alone: remove it, then start again.")

    def claim(self) -> bool:
        """Become the owner, for as long as this process lives. False when someone else is."""
        file = (self.path / "lock").open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        self._lock = file
        self.prepared.unlink(missing_ok=True)
        return True

    def owner(self) -> str:
        """Return the owner's process id, for messages."""
        return (self.path / "lock").read_text(encoding="utf-8")

    def release(self) -> None:
        """Stop being the owner."""
        if self._lock:
            self.prepared.unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    @property
    def prepared(self) -> Path:
        """The mark of an owner whose database is migrated and filled: guests wait for it."""
        return self.path / "prepared"

    @contextmanager
    def as_guest(self) -> Iterator[None]:
        """Use the owner's services. An owner that is itself a command waits for its guests before it stops them."""
        with (self.path / "guests").open("a", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            yield

    def wait_for_guests(self) -> None:
        """Wait until no other command uses our services."""
        with (self.path / "guests").open("a", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)

    def make_secrets(self) -> bool:
        """Write the secrets that the file does not have yet, and say whether there were any."""
        path = self.path / SECRETS_FILE
        saved = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        missing = [name for name in SECRET_NAMES if name not in saved]
        if missing:
            fresh = {name: base64.urlsafe_b64encode(os.urandom(32)).decode() for name in missing}
            write_private(path, json.dumps({**saved, **fresh}, indent=2))
        return bool(missing)


def write_private(path: Path, text: str) -> None:
    """Write a file that only we may read, whole or not at all."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
