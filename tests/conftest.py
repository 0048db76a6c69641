"""What all tests share: the browser or the reason why there is none, and the lent agent runs."""

import asyncio
import os
import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.instance import CHECKOUT, Instance
from tests.prepared import prepared_instance

pytest_plugins = ["tests.sharing"]

# The first is Chromium without what nobody looks at: a fifth less time.
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
BROWSER = os.environ.get("AGENTOPS_BROWSER") or next(filter(None, map(shutil.which, BROWSERS)), None)
NO_BROWSER = "no browser is installed here (Debian: apt install chromium-headless-shell, or chromium)"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if BROWSER or not item.get_closest_marker("browser"):
        return
    if os.environ.get("AGENTOPS_REQUIRE_BROWSER") == "1":
        pytest.fail(f"AGENTOPS_REQUIRE_BROWSER=1, and {NO_BROWSER}", pytrace=False)
    pytest.skip(NO_BROWSER)


@contextmanager
def playwright_loop_hidden(item: pytest.Item) -> Iterator[None]:
    """Hide Playwright's event loop, which runs in this thread from the first browser test on, from all other tests.

    Whole tests, their fixtures included: Django keeps one connection for code under a running loop and another for
    code under none, so a test that is hidden only in part would not find what its fixtures wrote.
    """
    loop = asyncio._get_running_loop()
    if not item.get_closest_marker("browser"):
        asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(loop or asyncio._get_running_loop())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, bool, bool]:
    with playwright_loop_hidden(item):
        return (yield)


@pytest.fixture(scope="session")
def base_url() -> None:
    """Stand in for a plugin's fixture of this name, which this pytest calls deprecated. Tests name whole addresses."""


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, object]:
    # Playwright keeps an event loop running in the main thread, where Django would refuse to touch the database.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    switches = (
        "no-sandbox disable-gpu disable-quic no-first-run disable-background-networking "
        "disable-component-update disable-sync"
    )
    return {"executable_path": BROWSER, "headless": True, "args": [f"--{switch}" for switch in switches.split()]}


@pytest.fixture(scope="session")
def instance() -> Iterator[Instance]:
    """A real `up`, for tests that come through the front door and leave it in order."""
    with prepared_instance() as running:
        yield running


@pytest.fixture(scope="session")
def lent_data() -> Path:
    """The folder of lent agent runs, which is no part of the repository."""
    path = Path(os.environ.get("AGENTOPS_LENT_DATA") or CHECKOUT.parent / "shared" / "data")
    if not path.is_dir():
        pytest.skip("lent agent runs are absent (set AGENTOPS_LENT_DATA)")
    return path


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None, django_db_blocker: Any) -> None:
    """Let pytest-django find its database made and migrated."""
    from tests.migrated import copy_migrated_database

    with django_db_blocker.unblock():
        copy_migrated_database()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """Let the tests empty their database between them; the audit trail's own tests put the guard back."""
    from django.contrib.auth.management import create_permissions
    from django.contrib.contenttypes.management import create_contenttypes
    from django.db import connection
    from django.db.models.signals import post_migrate

    # Nobody here asks for Django's permissions, which would be written anew after each test that empties the database.
    post_migrate.disconnect(dispatch_uid=f"{create_permissions.__module__}.create_permissions")
    post_migrate.disconnect(create_contenttypes)

    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_entry DISABLE TRIGGER audit_no_truncate")
