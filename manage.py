#!/usr/bin/env python3
"""The one entry: makes `.venv` beside itself when it must, then runs the command inside. Standard library only."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path

OLDEST_PYTHON = (3, 11)
HERE = Path(__file__).resolve().parent
VENV = HERE / ".venv"
PYTHON = VENV / "bin" / "python"
LOCK = HERE / ".venv.lock"
UNFINISHED = "unfinished"
PRODUCT, TESTS = "requirements.txt", "requirements-test.txt"  # the second holds the first whole


class BootstrapError(Exception):
    """Raised when the environment cannot be made; the message is one sentence for the person who starts it."""


def main(arguments: list[str]) -> int:
    if sys.version_info < OLDEST_PYTHON:
        found, needed = (".".join(map(str, version[:2])) for version in (sys.version_info, OLDEST_PYTHON))
        return fail(f"Python {needed} or newer is needed, and this is {found}: try python{needed} manage.py")
    if not is_inside():
        try:
            bootstrap(TESTS if arguments[:1] == ["test"] else PRODUCT)
        except BootstrapError as error:
            return fail(str(error))
        except KeyboardInterrupt:
            return fail("stopped; the next start goes on from here.")
        os.execv(PYTHON, [str(PYTHON), str(HERE / "manage.py"), *arguments])  # noqa: S606 - go on inside
    from agentops.embedded.commands import run

    return run(arguments)


def is_inside() -> bool:
    """Say whether to go on with this Python: it is `.venv`'s own, or the person said that theirs will do."""
    return os.environ.get("AGENTOPS_NO_BOOTSTRAP") == "1" or Path(sys.prefix).resolve() == VENV.resolve()


def bootstrap(requirements: str) -> None:
    """Bring `.venv` up to date with a file of pinned requirements. One start at a time; the others wait."""
    if VENV.is_symlink():
        return  # someone else's environment: used, never changed
    wanted = {name: hashlib.sha256((HERE / name).read_bytes()).hexdigest() for name in {PRODUCT, requirements}}
    with locked():
        whole = is_whole() and LOCK.read_text() != UNFINISHED
        if whole and stamp(requirements).is_file() and stamp(requirements).read_text() == wanted[requirements]:
            return
        LOCK.write_text(UNFINISHED)
        if not whole:
            # An interrupted install may have left half a package, which pip would take for a whole one: start over.
            shutil.rmtree(VENV, ignore_errors=True)
            make_venv(VENV)
        install(HERE / requirements, VENV)
        for name, digest in wanted.items():
            stamp(name).write_text(digest)
        LOCK.write_text("")


def stamp(requirements: str) -> Path:
    """Return the file that says which version of these requirements is installed."""
    return VENV / f"installed-{requirements}"


def is_whole() -> bool:
    """Say whether `.venv` has a Python, and still the one it was made for: the system's may have moved on."""
    name = PYTHON.resolve().name
    return PYTHON.exists() and (not name.startswith("python3.") or (VENV / "lib" / name).is_dir())


@contextlib.contextmanager
def locked() -> Iterator[None]:
    import fcntl

    try:
        file = LOCK.open("a+")
    except OSError as error:
        raise BootstrapError(
            f"{HERE} cannot be written to ({error.strerror}), and .venv belongs there: make the directory writable, or "
            f"install {HERE}/requirements.txt into an environment of your own and set AGENTOPS_NO_BOOTSTRAP=1."
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another start is installing; waiting for it.")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def make_venv(venv: Path) -> None:
    if uv := shutil.which("uv"):
        call([uv, "venv", "--quiet", "--python", sys.executable, str(venv)])
    elif importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip"):
        call([sys.executable, "-m", "venv", str(venv)])
    else:
        raise BootstrapError(
            "this Python comes without its venv module: install it (Debian: apt install python3-venv) "
            "or put uv on the PATH, then start again."
        )


def install(requirements: Path, venv: Path, *more: str) -> None:
    python = str(venv / "bin" / "python")
    count = sum("==" in line for line in requirements.read_text(encoding="utf-8").splitlines())
    say(f"installing up to {count} packages into {venv}; this happens once, and again after an update.")
    # Wheels only: nothing is compiled, and no package runs code while it is installed.
    options = ["--require-hashes", "--no-deps", "--only-binary", ":all:", *more, "-r", str(requirements)]
    if uv := shutil.which("uv"):
        call([uv, "pip", "install", "--python", python, *options])
    else:
        call([python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", *options])
    say("installed.")


def call(command: list[str]) -> None:
    """Run a command and show which package it is at; raise with the last thing it said when it fails."""
    said: deque[str] = deque(maxlen=20)
    live = sys.stderr.isatty()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None  # noqa: S101 - for the type checker
        for line in process.stdout:
            said.append(line.strip())
            if live and not line.startswith(" "):
                print(f"\r\033[K  {line.strip()[:76]}", end="", file=sys.stderr, flush=True)
    if live:
        print("\r\033[K", end="", file=sys.stderr)
    if process.returncode:
        errors = [line for line in said if "error" in line.lower()] or list(said) or ["no reason given"]
        raise BootstrapError(f"{Path(command[0]).name} failed with code {process.returncode}: {errors[-1]}")


def say(text: str) -> None:
    print(f"agentops: {text}", file=sys.stderr, flush=True)


def fail(text: str) -> int:
    say(text)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
