"""What can go wrong with a job, and how an error is told without the secrets it may carry."""

import re
import traceback

MAX_ERROR_CHARS = 1_000

# Passwords in addresses, and anything long enough to be a key: 24 characters without a space that hold a digit.
_SECRETS = re.compile(r"(?<=://)[^/@\s]+(?=@)|(?=[\w+/=.-]*\d)[\w+/=-]{24,}")


class LeaseLostError(Exception):
    """Raised when a job is finished by someone who no longer holds it; an atomic handler's effects are rolled back."""


def describe(error: BaseException) -> str:
    """Return one bounded line for a person: the kind of error, its first line, and where it was raised.

    Only the first line, because Postgres puts the values of rows into the next ones.
    """
    lines = str(error).strip().splitlines()
    message = _SECRETS.sub("…", lines[0])[: MAX_ERROR_CHARS // 2] if lines else ""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno} in {frames[-1].name})" if frames else ""
    text = f"{type(error).__name__}: {message}{place}" if message else f"{type(error).__name__}{place}"
    return storable(text)


def storable(text: str) -> str:
    """Return the text as Postgres takes it: without NUL and lone surrogates, cut to the longest error we keep."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "�")[:MAX_ERROR_CHARS]
