"""`manage.py test`: pytest with what a person would otherwise have to remember."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
ONE_PROCESS_PLEASE = (
    "-n",
    "-p",
    "--pdb",
    "--trace",
    "--co",
    "--collect-only",
    "--numprocesses",
    "--version",
    "-h",
    "--help",
)


def run_tests(arguments: Sequence[str]) -> int:
    """Become pytest. Two processes unless told otherwise, or one file is all there is to run."""
    os.chdir(CHECKOUT)
    # A file stays in one process: what its tests share is started once.
    parallel = [] if _is_small(arguments) else ["-n", "2", "--dist", "loadfile"]
    # -rs: what was skipped says why.
    command = [sys.executable, "-m", "pytest", "-rs", *parallel, *arguments]
    os.execv(sys.executable, command)  # noqa: S606 - nothing of ours is left to do


def _is_small(arguments: Sequence[str]) -> bool:
    if any(argument.startswith(ONE_PROCESS_PLEASE) for argument in arguments):
        return True
    files = [argument for argument in arguments if argument.partition("::")[0].endswith(".py")]
    return len(files) == 1 and not any(Path(argument).is_dir() for argument in arguments)
