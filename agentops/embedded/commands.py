"""What `manage.py` does inside its environment: finds the command, and gives it the services it needs."""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

from agentops.embedded.broker import Broker
from agentops.embedded.home import Home
from agentops.embedded.postgres import Postgres
from agentops.embedded.process import ServiceError
from agentops.embedded.services import Services
from agentops.env import Env, SettingsError, read_env

# These read no data, or ask a running instance. Whatever is not named here finds Postgres running, migrated and filled.
WITHOUT_DATA = {
    "check", "collectstatic", "diffsettings", "drill", "evaluate", "findstatic", "help", "makemigrations",
    "spectacular", "startapp", "startproject", "version",
}  # fmt: skip
# These do to the tables what nobody should do before them.
WITHOUT_MIGRATIONS = {"flush", "migrate", "showmigrations", "sqlmigrate"}
# Django's commands for people who sign in by a name: ours have an e-mail address, a role and a link.
NOT_OURS = {"changepassword", "createsuperuser"}
# Their logs are for machines unless a person asks otherwise.
SERVERS = {"sweep", "worker"}
MANAGE = Path(__file__).resolve().parents[2] / "manage.py"
OWNER_TIMEOUT_S = 120.0
HELP = """\
  up    start everything and say where it is: Postgres, broker, sandbox, web, worker, sweeper
  test  run the tests; takes pytest's arguments

Every other command finds the services of a running `up`, or starts them for itself (--data-dir says which):
"""


class UsageError(Exception):
    """Raised for a command line that says nothing we know; the message is one sentence."""


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code: 0 well, 1 the thing failed, 2 wrong usage."""
    try:
        command, *rest = _take_data_dir(arguments) or ["help"]
        if command == "up":
            from agentops.embedded.up import up

            return up(rest)
        if command == "test":
            from agentops.embedded.testing import run_tests

            return run_tests(rest)
        if command in {"help", "-h", "--help"} and not rest:
            sys.stdout.write(HELP)
            sys.stdout.flush()
        return _django(command, rest)
    except UsageError as error:
        return _fail(error, 2)
    except (ServiceError, SettingsError) as error:
        return _fail(error, 1)
    except KeyboardInterrupt:
        return _fail("stopped.", 130)


def _fail(error: Exception | str, code: int) -> int:
    sys.stderr.write(f"agentops: {error}\n")
    return code


def _take_data_dir(arguments: list[str]) -> list[str]:
    """Take `--data-dir` out, wherever it stands, and hand it to the settings."""
    left = []
    words = iter(arguments)
    for word in words:
        name, equals, value = word.partition("=")
        if name != "--data-dir":
            left.append(word)
            continue
        value = value if equals else next(words, "")
        if not value:
            raise UsageError("--data-dir needs a directory.")
        os.environ["AGENTOPS_DATA_DIR"] = value
        os.environ.pop("AGENTOPS_DATA_DIR_FILE", None)
    return left


def _django(command: str, arguments: list[str]) -> int:
    """Run a Django command. It exits by itself where it fails: 1, or 2 for arguments it does not know."""
    from django.core.management import ManagementUtility

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentops.settings")
    if command not in SERVERS:
        os.environ.setdefault("AGENTOPS_LOG_FORMAT", "text")
    _set_up()
    asks_for_help = command.startswith("-") or {"-h", "--help"} & set(arguments)
    if command in WITHOUT_DATA or asks_for_help:
        # `makemigrations` also looks whether a database agrees; here there may be none, and that is no fault.
        warnings.filterwarnings("ignore", message="Got an error checking a consistent migration history")
        ManagementUtility(["manage.py", command, *arguments]).execute()
        return 0
    env = read_env()
    _check_usage(command, arguments)
    home = Home(env)
    home.make()
    if home.make_secrets():
        # The settings were read without them, for the check of the usage: start over.
        os.execv(sys.executable, [sys.executable, str(MANAGE), command, *arguments])  # noqa: S606
    with services(env, home, prepared=command not in WITHOUT_MIGRATIONS):
        ManagementUtility(["manage.py", command, *arguments]).execute()
    return 0


def _set_up() -> None:
    import django
    from django.core.management import get_commands

    django.setup()
    for name in NOT_OURS:
        get_commands().pop(name, None)


def _check_usage(command: str, arguments: list[str]) -> None:
    """Find wrong words before anything is made or started. Argparse exits with 2 by itself."""
    from django.core.management import ManagementUtility, get_commands

    if command not in get_commands():
        raise UsageError(f"there is no command {command}: `manage.py help` lists them.")
    found = ManagementUtility(["manage.py"]).fetch_command(command)
    # Else it raises for its caller what it should say to a person.
    found._called_from_command_line = True  # type: ignore[attr-defined]
    found.create_parser("manage.py", command).parse_args(arguments)


@contextmanager
def services(env: Env, home: Home, *, prepared: bool) -> Iterator[None]:
    """Give a command its Postgres and broker: named ones, those of a running `up`, or our own meanwhile."""
    if env.database_url and env.broker_url:
        if prepared:
            from agentops.embedded.prepare import require_installation

            require_installation()
        yield
        return
    deadline = monotonic() + OWNER_TIMEOUT_S
    while not home.claim():
        if home.prepared.exists():
            with home.as_guest():
                # Between our look and our lock the owner may have gone.
                if home.prepared.exists():
                    yield
                    return
        if monotonic() > deadline:
            raise ServiceError(f"Process {home.owner()} holds {home.path} and does not get ready: look at its output.")
        sleep(0.1)
    with _own_services(env, home, prepared=prepared):
        yield


@contextmanager
def _own_services(env: Env, home: Home, *, prepared: bool) -> Iterator[None]:
    database = None if env.database_url else Postgres(home.path, home.sockets)
    messages = None if env.broker_url else Broker(home.path, home.sockets)
    started = Services(home.path, database, messages)
    started.start()
    try:
        if prepared:
            from agentops.embedded.prepare import prepare

            prepare()
            home.prepared.touch()
        yield
    finally:
        home.prepared.unlink(missing_ok=True)
        home.wait_for_guests()
        started.stop()
        home.release()
