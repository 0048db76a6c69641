"""The pytest plugin that gives one run of the tests a Postgres and a broker, before Django reads its settings.

It works while it is imported (`-p tests.services`): pytest-django reads the settings before any hook of ours could run.
The processes of pytest-xdist share both servers: each has its own test database, and its own database in the broker.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

import pytest

from agentops.embedded.broker import Broker
from agentops.embedded.postgres import DATABASE, USER, Postgres
from agentops.embedded.process import ServiceError
from agentops.embedded.services import Services

FAST = {"fsync": "off", "full_page_writes": "off", "max_connections": "120"}
SECRETS = ("AGENTOPS_SECRET_KEY", "AGENTOPS_AUDIT_KEY", "AGENTOPS_ENCRYPTION_KEY")
PREFIX = "agentops-test-"
COMPILED = Path(__file__).resolve().parent.parent / ".pytest_cache" / "compiled"

_running: list[Services] = []


def _start() -> None:
    _remove_what_killed_runs_left()
    home = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    sockets = home / "run"
    sockets.mkdir(mode=0o700)
    broker = Broker(home, sockets)
    services = Services(home, Postgres(home, sockets, settings=FAST), broker)
    services.start(sync=False)
    _running.append(services)
    for name in [name for name in os.environ if name.startswith("AGENTOPS_PUBLIC_")]:
        del os.environ[name]
    os.environ.setdefault("DATABASE_URL", f"postgresql://{USER}@{quote(str(sockets), safe='')}/{DATABASE}")
    os.environ.setdefault("BROKER_URL", f"redis+socket://{broker.socket}")
    os.environ["AGENTOPS_DATA_DIR"] = str(home)
    os.environ.update({name: f"only for tests: {name.lower()}" for name in SECRETS})


def _compile_once() -> None:
    """Keep what is compiled aside where nothing may be written beside the sources.

    The tests start a few hundred Pythons, each of which would else compile the whole product for itself.
    """
    if sys.dont_write_bytecode:
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = str(COMPILED)
        sys.dont_write_bytecode = False


def _remove_what_killed_runs_left() -> None:
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if not Path(f"/proc/{left.name.removeprefix(PREFIX).split('-')[0]}").exists():
            shutil.rmtree(left, ignore_errors=True)


def pytest_unconfigure() -> None:
    while _running:
        services = _running.pop()
        services.stop()
        shutil.rmtree(services.home, ignore_errors=True)


if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    if os.environ["BROKER_URL"].startswith("redis+socket:"):
        os.environ["BROKER_URL"] += f"?virtual_host={int(worker.removeprefix('gw')) % 15 + 1}"
else:
    _compile_once()
    try:
        _start()
    except ServiceError as error:
        pytest.exit(str(error), returncode=1)
